"""Blobs as plain files on a local disk.

``uploads/<key>`` grows while its upload is open; ``blobs/<first two characters>/<key>`` is complete and
never changes. An upload's file holds exactly the acknowledged bytes, or more: what goes beyond was never
acknowledged (a request broke off, an fsync failed), so whoever opens or completes the upload next cuts it
off, and syncs what is left.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from registry.hooks import (
    KeyMissing,
    StorageDriver,
    StorageError,
    StorageFull,
    StorageReadOnly,
    StoredKey,
    StoredUpload,
    TriedCall,
    UploadState,
    UploadWriter,
)
from registry.storage import disk
from registry.storage.file_writer import FileWriter, bytes_gone, cut
from registry.storage.filesystem_trial import FilesystemTrial
from registry.storage.keys import PIECE, SHARDS, blob_path, is_key, upload_path

_FOLDER_MODE = 0o750


class FilesystemStorage:
    """Keeps blobs under one folder of a local filesystem."""

    storage_id = "file"

    def __init__(self, root: Path) -> None:
        self._root = root
        # A store that cannot be prepared (read-only, not mounted yet) still answers; check() says why.
        with contextlib.suppress(OSError):
            self._prepare()

    def open_upload(self, state: UploadState, length: int | None = None) -> UploadWriter:
        """Start or go on with an upload; refuse at once what is announced to be longer than the room left."""
        path = self._upload(state.key)
        descriptor = disk.open_new(path) if state.size == 0 else disk.open_existing(path, os.O_WRONLY)
        try:
            with disk.reporting(f"open upload {state.key}"):
                cut(descriptor, state)
                _require_room(descriptor, length)
        except BaseException:
            os.close(descriptor)
            raise
        return FileWriter(path, descriptor, state)

    def complete_upload(self, state: UploadState) -> None:
        """Move the file to its final name; the name is durable on return, the bytes are since ``finish``."""
        upload, blob = self._upload(state.key), self._blob(state.key)
        try:
            self._seal(upload, state)
        except KeyMissing:
            if self._is_complete(blob, state):
                upload = blob
            elif state.size == 0:
                self.open_upload(state).finish()
            else:
                raise
        with disk.reporting(f"complete upload {state.key}"):
            if upload != blob:
                self._rename(upload, blob)
            disk.sync_folder(blob.parent)

    def take_over(self, state: UploadState, key: str) -> UploadState:
        """Copy the acknowledged bytes: a second link would leave the old writer in the new file."""
        path, taken = self._upload(key), UploadState(key, state.size)
        if state.size == 0:
            return taken
        source = disk.open_existing(self._upload(state.key), os.O_RDONLY)
        try:
            target = disk.open_new(path)
            try:
                with disk.reporting(f"take over upload {state.key}"):
                    if disk.copy_all(source, target, state.size) < state.size:
                        raise bytes_gone(state)
                    os.fsync(target)
                    disk.sync_folder(path.parent)
            finally:
                os.close(target)
        finally:
            os.close(source)
        return taken

    def abort_upload(self, state: UploadState) -> None:
        """Remove the upload's file."""
        disk.remove(self._upload(state.key))

    def read(self, key: str, start: int = 0, length: int | None = None) -> Generator[bytes, None, None]:
        """Return the bytes in pieces; the file is open when this returns."""
        pieces = self._pieces(key, start, length)
        next(pieces)
        return pieces

    def size(self, key: str) -> int:
        """Return the file's length."""
        path = self._blob(key)
        try:
            return path.lstat().st_size
        except FileNotFoundError as error:
            raise disk.missing(path) from error
        except OSError as error:
            raise disk.failure(f"look at {key}", error) from error

    def delete(self, key: str) -> None:
        """Remove the file."""
        disk.remove(self._blob(key))

    def remove_many(self, states: Sequence[UploadState]) -> None:
        """Remove the files of all, and flush each folder once."""
        disk.remove(*(path for state in states for path in (self._upload(state.key), self._blob(state.key))))

    def list_keys(self) -> Iterator[StoredKey]:
        """Walk through the folders; files that are no keys are none of ours."""
        blobs = self._root / "blobs"
        for folder in (self._root / "uploads", *(blobs / shard for shard in SHARDS)):
            for name, size, modified_ms in disk.files(folder):
                if is_key(name):
                    yield StoredKey(name, size, modified_ms, complete=folder.parent == blobs)

    def list_uploads(self) -> Iterator[StoredUpload]:
        """Look into the folder of uploads."""
        for name, _, modified_ms in disk.files(self._root / "uploads"):
            if is_key(name):
                yield StoredUpload(UploadState(name), modified_ms)

    def try_calls(self) -> Iterator[TriedCall]:
        """Try every call on files of its own."""
        return FilesystemTrial(self._root).try_calls()

    def open_file(self, key: str) -> BinaryIO:
        """Return the file, unbuffered, for ``sendfile``."""
        return os.fdopen(disk.open_existing(self._blob(key), os.O_RDONLY), "rb", buffering=0)

    def check(self) -> None:
        """Look whether the folders are there, and can be written."""
        for folder in (self._root / "uploads", self._root / "blobs"):
            with disk.reporting(f"use {folder}"):
                filesystem = os.statvfs(folder)
            if filesystem.f_flag & os.ST_RDONLY:
                raise StorageReadOnly(f"{folder} is on a filesystem that is mounted read-only")
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise StorageError(f"user {os.geteuid()} may not read and write {folder}; change its owner or mode")
            if filesystem.f_bavail == 0:
                raise StorageFull(f"the filesystem of {folder} is full")

    def _upload(self, key: str) -> Path:
        return self._root / upload_path(key)

    def _blob(self, key: str) -> Path:
        return self._root / blob_path(key)

    def _prepare(self) -> None:
        """Make all folders, and sync them even where they exist: whoever made them may have died before."""
        blobs = self._root / "blobs"
        for folder in (self._root, self._root / "uploads", blobs, *(blobs / shard for shard in SHARDS)):
            folder.mkdir(mode=_FOLDER_MODE, parents=folder is self._root, exist_ok=True)
        for folder in (blobs, self._root, self._root.parent):
            disk.sync_folder(folder)

    def _rename(self, upload: Path, blob: Path) -> None:
        try:
            upload.rename(blob)
        except FileNotFoundError:
            self._prepare()
            upload.rename(blob)

    def _seal(self, path: Path, state: UploadState) -> None:
        """See to it that the file holds just the acknowledged bytes, on the disk."""
        try:
            surplus = path.lstat().st_size != state.size
        except FileNotFoundError as error:
            raise disk.missing(path) from error
        except OSError as error:
            raise disk.failure(f"look at upload {state.key}", error) from error
        if surplus:
            descriptor = disk.open_existing(path, os.O_WRONLY)
            try:
                with disk.reporting(f"complete upload {state.key}"):
                    cut(descriptor, state)
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _is_complete(self, blob: Path, state: UploadState) -> bool:
        try:
            return self.size(blob.name) == state.size
        except KeyMissing:
            return False

    def _pieces(self, key: str, start: int, length: int | None) -> Generator[bytes, None, None]:
        """Yield an empty piece once the file is open, then its bytes."""
        descriptor = disk.open_existing(self._blob(key), os.O_RDONLY)
        try:
            with disk.reporting(f"look at {key}"):
                size = os.fstat(descriptor).st_size
            stop = size if length is None else start + length
            if max(start, stop) > size:
                raise StorageError(f"{key} has {size} bytes, and those up to {max(start, stop)} were asked for")
            yield b""
            while start < stop:
                with disk.reporting(f"read {key}"):
                    piece = os.pread(descriptor, min(PIECE, stop - start), start)
                if not piece:
                    raise StorageError(f"{key} ended at {start} of {stop} bytes")
                start += len(piece)
                yield piece
        finally:
            os.close(descriptor)


def _require_room(descriptor: int, length: int | None) -> None:
    """Refuse a long upload before it is received; allocating its blocks ahead made nothing faster."""
    if length is None or length <= PIECE:
        return
    filesystem = os.fstatvfs(descriptor)
    if filesystem.f_bavail * filesystem.f_frsize < length:
        raise StorageFull(f"{length} bytes are announced, more than the filesystem has left")


def open_filesystem(url: str, options: Mapping[str, str]) -> StorageDriver:
    """Return the driver for ``file:///absolute/folder``."""
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or parts.query or parts.fragment:
        raise ValueError(f"a file storage URL is file:///absolute/folder, not {url}")
    if options:
        raise ValueError(f"file storage takes no options; remove {', '.join(sorted(options))}")
    return FilesystemStorage(path)
