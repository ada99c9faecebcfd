"""How an upload grows in a file: what is written beyond the acknowledged bytes counts once it was flushed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from registry.hooks import KeyMissing, StorageError, UploadState
from registry.storage import disk


class FileWriter:
    """Appends to an upload's file."""

    def __init__(self, path: Path, descriptor: int, state: UploadState) -> None:
        """Append to ``descriptor`` after ``state.size`` bytes."""
        self._path = path
        self._descriptor = descriptor
        self._state = state
        self._end = state.size
        self._sound = True

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Write ``data`` where the file ends."""
        view = memoryview(data)
        try:
            disk.write_all(self._descriptor, view, self._end)
        except OSError as error:
            self._sound = False
            raise disk.failure(f"write to upload {self._state.key}", error) from error
        self._end += view.nbytes

    def finish(self) -> UploadState:
        """Sync the file.

        After a failed fsync the kernel may call pages clean that never reached the disk, so it is not tried
        again: the surplus stays in the file, the mark by which the next opener knows not to trust it.
        """
        if not self._sound:
            self.discard()
            raise StorageError(f"upload {self._state.key} failed before, and cannot be finished")
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise disk.failure(f"sync upload {self._state.key}", error) from error
        finally:
            self._close()
        return UploadState(self._state.key, self._end)

    def discard(self) -> None:
        """Give the room back, and leave one byte too many where there is something to protect."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            if self._state.size == 0:
                self._path.unlink(missing_ok=True)
            elif self._end > self._state.size or not self._sound:
                os.ftruncate(self._descriptor, self._state.size + 1)
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor, self._sound = self._descriptor, -1, False
        with contextlib.suppress(OSError):
            os.close(descriptor)


def cut(descriptor: int, state: UploadState) -> None:
    """Cut off what was never acknowledged; raises KeyMissing where less is there than was."""
    size = os.fstat(descriptor).st_size
    if size < state.size:
        raise bytes_gone(state)
    if size > state.size:
        os.ftruncate(descriptor, state.size)


def bytes_gone(state: UploadState) -> KeyMissing:
    """Return the error for an upload whose file is too short."""
    return KeyMissing(f"upload {state.key} lacks bytes that were acknowledged")
