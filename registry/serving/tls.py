"""The files of TLS, looked at before the server says that it listens: each process would fail on them by itself."""

from __future__ import annotations

import ssl
from pathlib import Path

from registry.settings import Settings, SettingsError


def refuse_unusable_tls(settings: Settings) -> None:
    """Raise :class:`SettingsError` where the certificate and the key that are set cannot be used together."""
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None or key is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def no_pass_phrase() -> str:
        advice = f"openssl pkey -in {key} -out plain.pem writes one that is not"
        raise SettingsError([f"tls_key: {key} is encrypted, and nobody is there to type the pass phrase; {advice}"])

    try:
        context.load_cert_chain(cert, key, no_pass_phrase)
    except OSError as error:
        raise SettingsError([_problem(error, cert, key)]) from None


def _problem(error: OSError, cert: Path, key: Path) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"tls_cert, tls_key: {cert} or {key} cannot be read: {error.strerror}"
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"tls_key: {key} is not the key of the certificate {cert}"
    if not _holds_certificates(cert):
        return f"tls_cert: {cert} holds no certificate (PEM)"
    return f"tls_key: {key} holds no private key (PEM)"


def _holds_certificates(file: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        return False
    return True
