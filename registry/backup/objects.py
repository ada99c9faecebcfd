"""Where backups are kept: named objects in a folder or a bucket, as the services of backups see them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Protocol


class Objects(Protocol):
    """Objects by names such as ``blobs/sha256/ab/abcd``.

    What fails raises :class:`~registry.hooks.ports.StorageError`. All may be called from many threads at once.
    """

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Store an object, as a whole and durably, in place of one that is there; where ``pieces`` raises, nothing."""

    def read(self, name: str) -> Generator[bytes, None, None]:
        """Return an object's bytes in pieces of at most 1 MiB; raises KeyMissing at the call."""

    def listed(self, folder: str) -> Iterator[tuple[str, int]]:
        """Yield the name and the length in bytes of every object below ``folder`` (empty: all), in any order."""

    def delete(self, name: str) -> None:
        """Remove an object, or nothing."""

    def sweep(self) -> None:
        """Remove what killed processes left unfinished; nobody may be storing meanwhile."""


def read_all(objects: Objects, name: str, limit: int) -> bytes:
    """Return a small object; raises KeyMissing, or :class:`ValueError` above ``limit`` bytes."""
    found = bytearray()
    for piece in objects.read(name):
        found += piece
        if len(found) > limit:
            raise ValueError(f"{name} is longer than {limit} bytes")
    return bytes(found)
