"""Storage keys and what a failing store means to a client."""

from __future__ import annotations

import re
import uuid

from registry.errors import InsufficientStorage, RegistryError, Unavailable
from registry.hooks.ports import StorageDriver, StorageError, StorageFull, StorageReadOnly, UploadState

_KEY = re.compile(r"[0-9a-f]{32}")


def new_key() -> str:
    """Allot a storage key: 32 hex characters, never used before, derived from nothing."""
    return uuid.uuid4().hex


def is_key(text: str) -> bool:
    """Tell whether ``text`` can have come from :func:`new_key`; storage drivers raise ValueError for anything else."""
    return _KEY.fullmatch(text) is not None


def storage_unavailable(error: StorageError) -> RegistryError:
    """Return the error to answer with where the store failed."""
    if isinstance(error, StorageFull):
        return InsufficientStorage()
    if isinstance(error, StorageReadOnly):
        return Unavailable("the storage takes no writes at the moment")
    return Unavailable("the storage does not answer")


def store_bytes(storage: StorageDriver, key: str, payload: bytes) -> None:
    """Store a few bytes at once; raises what :func:`storage_unavailable` returns."""
    try:
        writer = storage.open_upload(UploadState(key), len(payload))
        try:
            writer.write(payload)
        except BaseException:
            writer.discard()
            raise
        storage.complete_upload(writer.finish())
    except StorageError as error:
        raise storage_unavailable(error) from error
