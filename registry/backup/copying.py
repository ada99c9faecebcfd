"""Copies of blobs: every byte on its way is compared with the digest by which it is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from registry.digest import Digest, new_hasher
from registry.hooks.ports import KeyMissing, StorageDriver, StorageError

if TYPE_CHECKING:
    from registry.backup.objects import Objects

THREADS = 8
AT_ONCE = 64


class WrongBytes(Exception):
    """There are other bytes than the digest says, or none."""


def checked(pieces: Iterable[bytes], digest: Digest, size: int) -> Iterator[bytes]:
    """Yield ``pieces``, and raise :class:`WrongBytes` at the end where they are not what they should be."""
    hasher, length = new_hasher(digest.algorithm), 0
    for piece in pieces:
        hasher.update(piece)
        length += len(piece)
        yield piece
    if length != size or hasher.hexdigest() != digest.encoded:
        raise WrongBytes(f"{digest}: {length} of {size} bytes, or others")


def from_storage(storage: StorageDriver, key: str) -> Iterator[bytes]:
    """Yield the bytes under a key; raises :class:`WrongBytes` where that one cannot be read but the store answers."""
    try:
        with closing(storage.read(key)) as pieces:
            yield from pieces
    except ValueError as error:  # of a row that was damaged: that is no key
        raise WrongBytes(str(error)) from error
    except KeyMissing as error:
        raise WrongBytes(str(error)) from error
    except StorageError as error:
        storage.check()
        raise WrongBytes(str(error)) from error


def from_objects(objects: Objects, name: str) -> Iterator[bytes]:
    """Yield the bytes of a blob in a backup; raises :class:`WrongBytes` where it is not there."""
    try:
        pieces = objects.read(name)
    except KeyMissing as error:
        raise WrongBytes(str(error)) from error
    with closing(pieces):
        yield from pieces


def is_right(pieces: Iterable[bytes], digest: Digest, size: int) -> bool:
    """Tell whether ``pieces`` are what they should be."""
    try:
        for _ in checked(pieces, digest, size):
            pass
    except WrongBytes:
        return False
    return True
