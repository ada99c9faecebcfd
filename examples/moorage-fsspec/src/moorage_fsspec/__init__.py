"""A storage driver over fsspec: files, SFTP, HDFS, or whatever else has a file system for it.

Each session of an upload writes a file of its own, a part, which nothing changes afterwards; completing joins them.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import uuid
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace

import fsspec
from registry.hooks import (
    KeyMissing,
    Part,
    StorageDriver,
    StorageError,
    StorageFactory,
    UploadState,
    UploadWriter,
    hookimpl,
)

MOORAGE_API = "1.2"
"""The version of the plugin API that this was written for."""

_KEY = re.compile(r"[0-9a-f]{32}")
_PIECE = 1024 * 1024


class FsspecStorage:
    """Keeps blobs in ``root``/blobs of a file system, and the parts of open uploads in ``root``/uploads."""

    storage_id = "fsspec"

    def __init__(self, files: fsspec.AbstractFileSystem, root: str) -> None:
        self._files, self._root = files, root.rstrip("/")
        with _told():
            for folder in ("blobs", "uploads"):
                files.makedirs(f"{self._root}/{folder}", exist_ok=True)

    def open_upload(self, state: UploadState, length: int | None = None) -> UploadWriter:
        folder = self._upload(state.key)
        self._parts(state)
        with _told():
            self._files.makedirs(folder, exist_ok=True)
            return _Writer(self._files, f"{folder}/{uuid.uuid4().hex}", state)

    def complete_upload(self, state: UploadState) -> None:
        blob, folder = self._blob(state.key), self._upload(state.key)
        with _told():
            if self._files.exists(blob) and self._files.size(blob) == state.size:
                return
            parts = self._parts(state)
            self._files.makedirs(folder, exist_ok=True)
            with self._files.open(f"{folder}/whole", "wb") as joined:
                for part in parts:
                    with self._files.open(part, "rb") as file:
                        shutil.copyfileobj(file, joined, _PIECE)
            self._files.mv(f"{folder}/whole", blob)
        self.abort_upload(state)

    def take_over(self, state: UploadState, key: str) -> UploadState:
        parts, folder = self._parts(state), self._upload(key)
        with _told():
            self._files.makedirs(folder, exist_ok=True)
            for part in parts:
                self._files.cp_file(part, f"{folder}/{part.rpartition('/')[2]}")
        return replace(state, key=key)

    def abort_upload(self, state: UploadState) -> None:
        folder = self._upload(state.key)
        with _told():
            if self._files.exists(folder):
                self._files.rm(folder, recursive=True)

    def read(self, key: str, start: int = 0, length: int | None = None) -> Generator[bytes, None, None]:
        size = self.size(key)
        stop = size if length is None else start + length
        if max(start, stop) > size:
            raise StorageError(f"{key} has {size} bytes, and those up to {max(start, stop)} were asked for")
        return self._pieces(self._blob(key), start, stop)

    def size(self, key: str) -> int:
        blob = self._blob(key)
        with _told():
            return int(self._files.size(blob))

    def delete(self, key: str) -> None:
        blob = self._blob(key)
        with _told():
            if self._files.exists(blob):
                self._files.rm_file(blob)

    def check(self) -> None:
        with _told():
            if not self._files.exists(f"{self._root}/blobs"):
                raise StorageError(f"{self._root}/blobs is not there")

    def _blob(self, key: str) -> str:
        return f"{self._root}/blobs/{_checked(key)}"

    def _upload(self, key: str) -> str:
        return f"{self._root}/uploads/{_checked(key)}"

    def _parts(self, state: UploadState) -> list[str]:
        """Return the files of what was acknowledged; raises KeyMissing where one of them is gone."""
        folder = self._upload(state.key)
        parts = [f"{folder}/{part.etag}" for part in state.parts]
        with _told():
            there = all(self._files.exists(part) for part in parts)
        if not there or sum(part.size for part in state.parts) != state.size:
            raise KeyMissing(f"what was acknowledged of {state.key} is gone")
        return parts

    def _pieces(self, blob: str, start: int, stop: int) -> Generator[bytes, None, None]:
        with _told(), self._files.open(blob, "rb") as file:
            file.seek(start)
            while start < stop:
                piece = file.read(min(_PIECE, stop - start))
                if not piece:
                    raise StorageError(f"{blob} is shorter than it was")
                start += len(piece)
                yield piece


class _Writer:
    """Writes one part."""

    def __init__(self, files: fsspec.AbstractFileSystem, path: str, state: UploadState) -> None:
        self._files, self._path, self._state, self._size = files, path, state, 0
        self._file = files.open(path, "wb")

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        with _told():
            self._file.write(bytes(data))
        self._size += len(data)

    def finish(self) -> UploadState:
        with _told():
            self._file.close()
            if not self._size:
                self._files.rm_file(self._path)
                return self._state
        part = Part(len(self._state.parts) + 1, self._size, self._path.rpartition("/")[2])
        return replace(self._state, size=self._state.size + self._size, parts=(*self._state.parts, part))

    def discard(self) -> None:
        with contextlib.suppress(Exception):
            self._file.close()
        with contextlib.suppress(Exception):
            self._files.rm_file(self._path)


def _checked(key: str) -> str:
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"a storage key is 32 lower-case hex characters, not {key!r}")
    return key


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell of a failing file system in the words of the contract: whatever its library raises."""
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise KeyMissing(str(error)) from error
    except Exception as error:
        raise StorageError(f"{type(error).__name__}: {error}") from error


def open_fsspec(url: str, options: Mapping[str, str]) -> StorageDriver:
    """Return a driver for ``fsspec:URL``; raises ValueError that says what to change."""
    target = url.removeprefix("fsspec:")
    if "://" not in target:
        raise ValueError(f"{url} names no file system: write fsspec:file:///path/to/a/folder")
    try:
        files, root = fsspec.url_to_fs(target, **options)
    except (ImportError, TypeError, ValueError) as error:
        raise ValueError(f"fsspec cannot open {target}: {error}") from error
    return FsspecStorage(files, root)


@hookimpl
def storage_drivers() -> Mapping[str, StorageFactory]:
    """Offer the driver by its scheme."""
    return {"fsspec": open_fsspec}
