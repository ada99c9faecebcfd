"""System calls on plain files for a storage driver: what fails is a StorageError with its reason."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from registry.hooks import KeyMissing, StorageError, StorageFull, StorageReadOnly

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CANNOT_COPY_RANGES = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
_FILE_MODE = 0o640
# A name that an intruder linked elsewhere is refused, and no child process inherits a blob.
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


def failure(doing: str, error: OSError) -> StorageError:
    """Return the storage error that says what could not be done, and why."""
    reason = f"cannot {doing}: {error.strerror or error}"
    if error.errno in _FULL:
        return StorageFull(reason)
    return StorageReadOnly(reason) if error.errno == errno.EROFS else StorageError(reason)


@contextlib.contextmanager
def reporting(doing: str) -> Iterator[None]:
    """Turn an OSError into the storage error for it."""
    try:
        yield
    except OSError as error:
        raise failure(doing, error) from error


def open_existing(path: Path, flags: int) -> int:
    """Open a file that has to be there; raise KeyMissing where it is not."""
    try:
        return os.open(path, flags | _SAFE)
    except FileNotFoundError as error:
        raise missing(path) from error
    except OSError as error:
        raise failure(f"open {path.name}", error) from error


def open_new(path: Path) -> int:
    """Open a file for writing, made or emptied."""
    with reporting(f"create {path.name}"):
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFE, _FILE_MODE)


def missing(path: Path) -> StorageError:
    """Return the error for a file that is not there: not KeyMissing where its whole folder is gone.

    A volume that is not mounted must not make every blob look lost.
    """
    if path.parent.is_dir():
        return KeyMissing(f"nothing is stored under {path.name}")
    return StorageError(f"the folder {path.parent} is missing; is its volume mounted?")


def files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, length in bytes and time of the last change in milliseconds of each file in a folder."""
    with reporting(f"list {folder}"), os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # it went meanwhile
            if stat.S_ISREG(status.st_mode):
                yield entry.name, status.st_size, status.st_mtime_ns // 1_000_000


def write_all(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``; raises OSError."""
    while data:
        written = os.pwrite(descriptor, data, offset)
        data = data[written:]
        offset += written


def copy_all(source: int, target: int, length: int) -> int:
    """Copy the first ``length`` bytes inside the kernel; return how many there were. Raises OSError."""
    done = 0
    in_ranges = hasattr(os, "copy_file_range")
    while done < length:
        try:
            if in_ranges:
                count = os.copy_file_range(source, target, length - done, done, done)
            else:
                os.lseek(target, done, os.SEEK_SET)
                count = os.sendfile(target, source, done, length - done)
        except OSError as error:
            if not in_ranges or error.errno not in _CANNOT_COPY_RANGES:
                raise
            in_ranges = False
            continue
        if count == 0:
            break
        done += count
    return done


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(*paths: Path) -> None:
    """Remove files durably, also where an earlier removal was cut off before their folders were synced."""
    for path in paths:
        with reporting(f"remove {path.name}"):
            try:
                path.unlink()
            except FileNotFoundError as error:
                if not path.parent.is_dir():
                    raise missing(path) from error
    # Only now: what has been removed before the first flush costs the others next to nothing.
    for folder in dict.fromkeys(path.parent for path in paths):
        with reporting(f"sync {folder}"):
            sync_folder(folder)
