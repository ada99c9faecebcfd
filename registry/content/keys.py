"""Storage keys and what a failing store means to a client."""

from __future__ import annotations

import re
import uuid

from registry.errors import InsufficientStorage, RegistryError, Unavailable
from registry.hooks.ports import StorageError, StorageFull, StorageReadOnly

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
