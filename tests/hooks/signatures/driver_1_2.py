"""A storage driver as it was written for plugin API 1.2. Recorded: it is not to be changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence

from registry.hooks import KeyMissing, StorageDriver, StorageError, StoredKey, UploadState, UploadWriter

PIECE = 1024 * 1024


class MemoryStorage:
    """Keeps blobs in a dictionary, with the meaning that the other drivers have."""

    storage_id = "memory"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: dict[str, bytes] = {}
        self._blobs: dict[str, bytes] = {}
        self._changed: dict[str, int] = {}

    def open_upload(self, state: UploadState, length: int | None = None) -> UploadWriter:
        """Start or go on with an upload after ``state.size`` bytes; ``length`` is of no use here."""
        del length
        return _MemoryWriter(self, state, self._acknowledged(state))

    def complete_upload(self, state: UploadState) -> None:
        """Make the acknowledged bytes readable under the upload's key."""
        with self._lock:
            done = self._blobs.get(state.key)
            if state.key not in self._uploads and done is not None and len(done) == state.size:
                return
        data = self._acknowledged(state)
        with self._lock:
            self._blobs[state.key] = data
            self._changed[state.key] = time.time_ns() // 1_000_000
            self._uploads.pop(state.key, None)

    def take_over(self, state: UploadState, key: str) -> UploadState:
        """Return a new upload under ``key`` with the acknowledged bytes."""
        return self.acknowledge(UploadState(key, state.size), self._acknowledged(state))

    def abort_upload(self, state: UploadState) -> None:
        """Forget an upload that was not completed."""
        with self._lock:
            self._uploads.pop(state.key, None)
            if state.key not in self._blobs:
                self._changed.pop(state.key, None)

    def read(self, key: str, start: int = 0, length: int | None = None) -> Generator[bytes, None, None]:
        """Yield a completed key's bytes in pieces."""
        data = self._blob(key)
        stop = len(data) if length is None else start + length
        if max(start, stop) > len(data):
            raise StorageError(f"{key} has {len(data)} bytes, and those up to {max(start, stop)} were asked for")
        return (data[at : min(at + PIECE, stop)] for at in range(start, stop, PIECE))

    def size(self, key: str) -> int:
        """Return the length of a completed key."""
        return len(self._blob(key))

    def delete(self, key: str) -> None:
        """Remove a completed key."""
        with self._lock:
            self._blobs.pop(key, None)
            self._changed.pop(key, None)

    def list_keys(self) -> Iterator[StoredKey]:
        """Yield all keys that there are at this moment."""
        with self._lock:
            changed = self._changed
            held = [
                StoredKey(key, len(data), changed.get(key, 0), complete=complete)
                for store, complete in ((self._uploads, False), (self._blobs, True))
                for key, data in store.items()
            ]
        return iter(held)

    def remove_many(self, states: Sequence[UploadState]) -> None:
        """Remove many keys."""
        for state in states:
            self.abort_upload(state)
            self.delete(state.key)

    def check(self) -> None:
        """Memory is always there."""

    def acknowledge(self, state: UploadState, data: bytes) -> UploadState:
        """Keep ``data`` as all that the upload has so far."""
        with self._lock:
            self._uploads[state.key] = data
            self._changed[state.key] = time.time_ns() // 1_000_000
        return state

    def _acknowledged(self, state: UploadState) -> bytes:
        with self._lock:
            data = self._uploads.get(state.key, b"")
        if len(data) < state.size:
            raise KeyMissing(f"upload {state.key} lacks bytes that were acknowledged")
        return data[: state.size]

    def _blob(self, key: str) -> bytes:
        with self._lock:
            data = self._blobs.get(key)
        if data is None:
            raise KeyMissing(f"nothing is stored under {key}")
        return data


class _MemoryWriter:
    """Gathers one request's bytes and hands them over when it is finished."""

    def __init__(self, storage: MemoryStorage, state: UploadState, data: bytes) -> None:
        self._storage = storage
        self._key = state.key
        self._data = bytearray(data)

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Append ``data``."""
        self._data += data

    def finish(self) -> UploadState:
        """Hand everything over."""
        return self._storage.acknowledge(UploadState(self._key, len(self._data)), bytes(self._data))

    def discard(self) -> None:
        """Forget what was written."""
        self._data.clear()


def open_memory(url: str, options: Mapping[str, str]) -> StorageDriver:
    """Return an empty store for ``memory:``."""
    del url
    if options:
        raise ValueError(f"memory storage takes no options; remove {', '.join(sorted(options))}")
    return MemoryStorage()
