"""When a server's certificate ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

_SOON = timedelta(days=14)
"""Before its end one is told of it: this long, or a quarter of its life, for those that live only for days."""


def ending(file: Path, now_ms: int) -> str:
    """Return what to know of the first certificate in a PEM file: that it has ended, or will soon; else nothing.

    ``now_ms`` is in milliseconds. A certificate is good to the second of its notAfter (RFC 5280, 4.1.2.5).
    """
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())[0]
    except (OSError, ValueError) as error:
        return f"the certificate cannot be read: {error}"
    left = found.not_valid_after_utc - datetime.fromtimestamp(now_ms / 1000, UTC)
    day = f"{found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if left < timedelta(0):
        return f"the certificate ended on {day}: clients refuse it"
    life = found.not_valid_after_utc - found.not_valid_before_utc
    return f"the certificate ends on {day}, and should have been renewed" if left < min(_SOON, life / 4) else ""
