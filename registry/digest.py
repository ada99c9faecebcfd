"""Content digests.

Source: OCI image-spec 1.1, "Descriptors / Digests".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol, Self

from registry.errors import DigestInvalid

ALGORITHMS = {"sha256": 64, "sha512": 128}
"""Supported algorithms and the length of their encoded part in characters."""

DEFAULT_ALGORITHM = "sha256"

_SHAPE = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")
_HEX = re.compile(r"[a-f0-9]+")


class Hasher(Protocol):
    """The part of a :mod:`hashlib` object that streaming needs."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Feed ``data``."""

    def hexdigest(self) -> str:
        """Return the digest of all that was fed, in lower-case hex."""


@dataclass(frozen=True, slots=True)
class Digest:
    """``algorithm:encoded`` of a supported algorithm, checked against the grammar."""

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: object) -> Self:
        """Parse ``text`` in full; raise :class:`DigestInvalid` that names it otherwise: a 400 to who sent it."""
        match = _SHAPE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise DigestInvalid("malformed digest", detail={"digest": _shown(text)})
        algorithm, encoded = match.groups()
        length = ALGORITHMS.get(algorithm)
        if length is None:
            raise DigestInvalid(
                f"unsupported digest algorithm: use one of {', '.join(ALGORITHMS)}",
                detail={"digest": _shown(text)},
            )
        if len(encoded) != length or _HEX.fullmatch(encoded) is None:
            raise DigestInvalid(
                f"malformed digest: {algorithm} takes {length} lower-case hex characters",
                detail={"digest": _shown(text)},
            )
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, payload: bytes, algorithm: str = DEFAULT_ALGORITHM) -> Self:
        """Return the digest of ``payload``."""
        hasher = new_hasher(algorithm)
        hasher.update(payload)
        return cls(algorithm, hasher.hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


def new_hasher(algorithm: str) -> Hasher:
    """Return a streaming hash; raise :class:`DigestInvalid` for an algorithm that is not supported."""
    if algorithm not in ALGORITHMS:
        raise DigestInvalid(
            f"unsupported digest algorithm: use one of {', '.join(ALGORITHMS)}",
            detail={"algorithm": _shown(algorithm)},
        )
    return hashlib.new(algorithm)


def _shown(value: object) -> str:
    """Quote a refused value without echoing unbounded input."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 256 else text[:256] + "…"  # noqa: PLR2004 - the bound itself
