"""Named objects in a bucket: what backups are kept in."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import chain

from registry.hooks import StorageError
from registry.storage.keys import PIECE
from registry.storage.s3 import open_bucket
from registry.storage.s3_writer import part_size


class BucketObjects:
    """Objects under one prefix of a bucket."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        """Keep them in ``s3://bucket/prefix``; raises ValueError."""
        self._bucket = open_bucket(url, options)

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Send an object at once where it is short, else in parts."""
        parts = _parts(pieces)
        first = next(parts, b"")
        second = next(parts, None)
        if second is None:
            self._bucket.put(name, first)
            return
        handle = self._bucket.create_multipart(name)
        try:
            done = [
                self._bucket.put_part(name, handle, number, part)
                for number, part in enumerate(chain([first, second], parts), 1)
            ]
            self._bucket.complete_multipart(name, handle, done)
        except BaseException:
            with contextlib.suppress(StorageError):
                self._bucket.abort_multipart(name, handle)
            raise

    def read(self, name: str) -> Generator[bytes, None, None]:
        """Return the pieces of an object, all of them."""
        body, length = self._bucket.get(name)

        def pieces() -> Generator[bytes, None, None]:
            left = length
            with contextlib.closing(body):
                while left:
                    piece = self._bucket.read_piece(body, min(PIECE, left))
                    if not piece:
                        raise StorageError(f"{name} ended {left} bytes early")
                    left -= len(piece)
                    yield piece

        return pieces()

    def listed(self, folder: str) -> Iterator[tuple[str, int]]:
        """List a folder page by page."""
        for name, size, _ in self._bucket.listed(f"{folder}/" if folder else ""):
            yield name, size

    def delete(self, name: str) -> None:
        """Remove an object."""
        self._bucket.delete(name)

    def sweep(self) -> None:
        """Drop multipart uploads that were never completed."""
        for name, handle, _ in self._bucket.listed_multiparts():
            self._bucket.abort_multipart(name, handle)


def _parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join pieces to parts of the length that S3 takes."""
    part, number = bytearray(), 1
    for piece in pieces:
        part += piece
        while len(part) >= part_size(number):
            yield bytes(part[: part_size(number)])
            del part[: part_size(number)]
            number += 1
    if part:
        yield bytes(part)
