"""The files of TLS: looked at before the server says that it listens, and read again when they change."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn import sock as listeners

from registry.settings import Settings, SettingsError

LOOK_SECONDS = 1.0
"""The files are looked at this often."""
_Stamp = tuple[tuple[int, ...], ...] | None


def refuse_unusable_tls(settings: Settings) -> None:
    """Raise :class:`SettingsError` where the certificate and the key that are set cannot be used together."""
    if settings.tls_cert is not None and settings.tls_key is not None:
        _refuse_unusable(settings.tls_cert, settings.tls_key)


def secured(_config: object, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return the context that ``make`` makes, with TLS 1.2 at least (RFC 9325, 3.1.1), for HTTP/1.1 (RFC 7301)."""
    context = make()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Certificate:
    """What new connections are shown: what the files of TLS hold, or held when they could be used last.

    Each worker looks by itself. The process that makes workers looks before it makes one, so that a worker that takes
    the place of another has what could be used, whatever the files hold by then.
    """

    def __init__(self) -> None:
        """Read nothing yet."""
        self._context: ssl.SSLContext | None = None
        self._files: tuple[Path, Path] | None = None
        self._loaded: _Stamp = None
        self._last: _Stamp = None
        self._next_look = 0.0

    @property
    def context(self) -> ssl.SSLContext | None:
        """The context for a new connection; None where there is no TLS."""
        return self._context

    def open(self, config: Any, log: Any) -> None:  # noqa: ANN401 - gunicorn's, which has no types
        """Read the files that are configured, for a worker.

        Raises :class:`SettingsError` if they never could be used.
        """
        if not config.is_ssl:
            return
        self._files = Path(config.certfile or config.keyfile), Path(config.keyfile or config.certfile)
        self._last = _stamp(*self._files)
        if self._context is None:
            _refuse_unusable(*self._files)
            self._context, self._loaded = listeners.ssl_context(config), self._last
        else:
            self._take_changed(config, log)

    def look(self, config: Any, log: Any) -> None:  # noqa: ANN401 - gunicorn's, which has no types
        """Take another certificate once its files have changed and are left alone; log what cannot be used."""
        now = time.monotonic()
        if self._files is None or now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        before, self._last = self._last, _stamp(*self._files)
        if before == self._last:  # else one of two files may still be to come
            self._take_changed(config, log)

    def _take_changed(self, config: Any, log: Any) -> None:  # noqa: ANN401 - gunicorn's, which has no types
        if self._files is None or self._last == self._loaded:
            return
        self._loaded = self._last
        try:
            _refuse_unusable(*self._files)
            self._context = listeners.ssl_context(config)
        except (SettingsError, OSError) as error:
            log.error("the certificate is not renewed, and the one before goes on: %s", error)  # noqa: TRY400 - the reason says it all
        else:
            log.info("new connections are shown the certificate that %s holds now", self._files[0])


def _stamp(*files: Path) -> _Stamp:
    """Return what changes whenever a file does, or a link to it leads elsewhere; None where one is missing."""
    try:
        found = [file.stat() for file in files]
    except OSError:
        return None
    return tuple((one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in found)


def _refuse_unusable(cert: Path, key: Path) -> None:
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
    if error.reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
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
