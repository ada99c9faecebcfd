"""Trying the filesystem that blobs are on: what :mod:`registry.storage.filesystem` asks of it, and its limits."""

from __future__ import annotations

import os
import resource
import uuid
from collections.abc import Iterator
from pathlib import Path

from registry.hooks import StorageError, StorageFull, TriedCall
from registry.storage import disk
from registry.storage.keys import blob_path, upload_path
from registry.storage.trials import Step, compare, tried

_BYTES = bytes(range(256)) * 256
_LEAST_FREE = 1 << 30
_LEAST_FILES = 1024
_LARGEST_LAYER = 10 << 30
_NETWORKS = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"}
"""Filesystems on which a flush may be a promise of another machine, and a rename no longer one step."""


class FilesystemTrial:
    """Tries one folder tree."""

    def __init__(self, root: Path) -> None:
        self._root = root
        key = uuid.uuid4().hex
        self._upload, self._blob = root / upload_path(key), root / blob_path(key)
        self._copy = root / upload_path(uuid.uuid4().hex)

    def try_calls(self) -> Iterator[TriedCall]:
        """Try each call, and remove what was made."""
        space = "uploads are refused where what is announced does not fit"
        steps = [
            Step("write", self._write, "uploads grow, chunk after chunk"),
            Step("fsync", self._sync, "what was acknowledged outlives a power cut", after="write"),
            Step("copy", self._copied, "an upload whose writer died goes on, from a copy", after="write"),
            Step("rename", self._rename, "an upload becomes a blob in one step", after="write"),
            Step("fsync of a folder", self._sync_folder, "the names of blobs outlive a power cut", after="rename"),
            Step("read", self._read, "blobs are pulled", after="rename"),
            Step("filesystem", self._kind, "flushes and renames are those of a local disk", needed=False),
            Step("free space", self._space, space),
            Step("free inodes", self._inodes, "each blob and each open upload is a file"),
            Step("limit of file sizes", _file_size, "a layer is one file (ulimit -f)"),
            Step("limit of open files", _open_files, "each transfer holds a file and a connection (ulimit -n)"),
        ]
        try:
            yield from tried(steps)
        finally:
            removed = list(tried([Step("remove", self._remove, "what nothing keeps gives its room back")]))
        yield from removed

    def _write(self) -> str:
        descriptor = disk.open_new(self._upload)
        try:
            with disk.reporting(f"write below {self._upload.parent}"):
                disk.write_all(descriptor, memoryview(_BYTES), 0)
                os.ftruncate(descriptor, len(_BYTES) // 2)
                disk.write_all(descriptor, memoryview(_BYTES[len(_BYTES) // 2 :]), len(_BYTES) // 2)
        finally:
            os.close(descriptor)
        return str(self._upload.parent)

    def _sync(self) -> str:
        descriptor = disk.open_existing(self._upload, os.O_WRONLY)
        try:
            with disk.reporting("flush a file"):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return ""

    def _copied(self) -> str:
        source = disk.open_existing(self._upload, os.O_RDONLY)
        target = disk.open_new(self._copy)
        try:
            with disk.reporting("copy a file"):
                compare(disk.copy_all(source, target, len(_BYTES)), len(_BYTES))
        finally:
            os.close(target)
            os.close(source)
        return ""

    def _rename(self) -> str:
        with disk.reporting(f"move a file from {self._upload.parent} to {self._blob.parent}"):
            self._upload.rename(self._blob)
        return ""

    def _sync_folder(self) -> str:
        with disk.reporting(f"flush {self._blob.parent}"):
            disk.sync_folder(self._blob.parent)
        return ""

    def _read(self) -> str:
        descriptor = disk.open_existing(self._blob, os.O_RDONLY)
        try:
            with disk.reporting("read a file"):
                compare(os.pread(descriptor, len(_BYTES) + 1, 0), _BYTES)
        finally:
            os.close(descriptor)
        return ""

    def _kind(self) -> str:
        kind = _mounted(self._root)
        if kind in _NETWORKS:
            raise StorageError(f"{kind} is no local disk: keep blobs on one, or on S3")
        return kind

    def _space(self) -> str:
        with disk.reporting(f"look at {self._root}"):
            filesystem = os.statvfs(self._root)
        free = filesystem.f_bavail * filesystem.f_frsize
        if free < _LEAST_FREE:
            raise StorageFull(f"{free >> 20} MiB are left, less than {_LEAST_FREE >> 20}")
        return f"{free >> 30} GiB"

    def _inodes(self) -> str:
        with disk.reporting(f"look at {self._root}"):
            filesystem = os.statvfs(self._root)
        if not filesystem.f_files:
            return "no limit"  # as btrfs and others tell that have no table of them
        if filesystem.f_favail < _LEAST_FILES:
            raise StorageFull(f"{filesystem.f_favail} files are left, less than {_LEAST_FILES}")
        return f"{filesystem.f_favail} files"

    def _remove(self) -> str:
        disk.remove(self._upload, self._copy, self._blob)
        return ""


def _file_size() -> str:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return "no limit"
    if limit < _LARGEST_LAYER:
        raise StorageError(f"files end at {limit} bytes, and layers may be longer: raise the limit")
    return f"{limit} bytes"


def _open_files() -> str:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit != resource.RLIM_INFINITY and limit < _LEAST_FILES:
        raise StorageError(f"a process may hold {limit} files open, and each transfer takes two: raise the limit")
    return "no limit" if limit == resource.RLIM_INFINITY else f"{limit} files"


def _mounted(folder: Path) -> str:
    """Return the kind of filesystem that a folder is on, as the kernel calls it; nothing where it does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        device = folder.stat().st_dev
    except OSError:
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = [line.partition(" - ")[2].split()[0] for line in lines if line.split()[2] == number]
    return kinds[-1] if kinds else ""
