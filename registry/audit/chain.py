"""The chain: each record carries the hash of the one before, and its own is over all of that.

A record is hashed as it is shown: its JSON object without ``hash``, as RFC 8785 writes it (keys in order, no blanks,
UTF-8), so that anybody can check it. Whoever alters, inserts or removes a record has to make all later ones anew, and
no longer has the last hash that others know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from registry.errors import InputInvalid

START = "0" * 64
"""What stands for the hash before the first record."""
REMOVED = "audit.removed"
"""The kind of a record which says that older ones were removed because of their age."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH = len(START)
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Head:
    """A record that others know by its position and hash; everything up to it follows from that."""

    position: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``POSITION:HASH``; raises :class:`InputInvalid`."""
        position, _, found = text.partition(":")
        number = position.isascii() and position.isdigit() and len(position) <= len(str(1 << 60))
        if not number or len(found) != _LENGTH or set(found) - set("0123456789abcdef"):
            raise InputInvalid("a head is written as POSITION:HASH", detail={"head": text[:80]})
        return cls(int(position), found)

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"


def shown_time(time_ms: int) -> str:
    """Return a time as records show it: RFC 3339, UTC, with milliseconds."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def hash_of(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record as it is shown, in hexadecimal; its own ``hash`` is left out."""
    text = _canonical({name: value for name, value in record.items() if name != "hash"})
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
