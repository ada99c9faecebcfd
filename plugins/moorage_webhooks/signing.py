"""The signature of a delivery: HMAC-SHA256 over all that a receiver acts on.

The signed text has five lines, each ended by a newline, the last by none::

    moorage-webhook-v1
    1764230400                          the time in Moorage-Signature, seconds since 1970
    8f14e45fceea167a5a36dedd4bea2543    Moorage-Event-Id
    412                                 the body's length in bytes
    9f86d081884c7d65...                 the SHA-256 of the body, in lower-case hex

Its first line belongs to this use alone, so that a signature made here means nothing elsewhere; no field can hold a
newline, so that no two deliveries have one text.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

HEADER, ID_HEADER = "Moorage-Signature", "Moorage-Event-Id"
_DOMAIN = "moorage-webhook-v1"


def new_secret() -> str:
    """Return a secret of 256 random bits, as text."""
    return f"whsec_{secrets.token_hex(32)}"


def signed_text(timestamp: int, event_id: str, body: bytes) -> bytes:
    """Return what is signed."""
    digest = hashlib.sha256(body).hexdigest()
    return f"{_DOMAIN}\n{timestamp}\n{event_id}\n{len(body)}\n{digest}".encode()


def sign(keys: Sequence[str], timestamp: int, event_id: str, body: bytes) -> str:
    """Return the header's value: the time, and a signature by each of the secrets."""
    text = signed_text(timestamp, event_id, body)
    made = [hmac.new(key.encode(), text, hashlib.sha256).hexdigest() for key in keys]
    return ",".join([f"t={timestamp}", *(f"v1={signature}" for signature in made)])
