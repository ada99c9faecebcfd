"""Breadcrumbs: which plugin a process was in when it died, for who comes after it.

Each process has a file in a folder that its kind shares, locked for as long as it lives. Its first bytes, in memory
that the file is, hold a number for each thread: what that thread is in now. After them comes what the numbers mean.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from registry.hooks.places import SLOTS

_LENGTH = 2 * SLOTS
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file there never waits for a disk; whose folder it is, is checked
_LIVING, _DEAD = ".run", ".dead"
KEPT_SECONDS = 600.0
"""How long it is remembered that a process died."""


@dataclass(frozen=True, slots=True)
class Death:
    """A process that died, and what each of its threads was in: plugin and hook."""

    pid: int
    seen_in: Sequence[tuple[str, str]]

    @property
    def plugins(self) -> frozenset[str]:
        """The plugins alone."""
        return frozenset(plugin for plugin, _ in self.seen_in)


def folder_of(data: Path) -> Path:
    """Return the folder for the breadcrumbs of a registry's processes on this machine; it may not be there yet."""
    above = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
    return above / f"moorage-{os.getuid()}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


class Crumbs:
    """The breadcrumbs of this process."""

    def __init__(self, folder: Path, names: Sequence[tuple[str, str]]) -> None:
        """Leave them in ``folder``; ``names`` are what the numbers from 1 on mean. Raises :class:`OSError`."""
        _make(folder)
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{_LIVING}"
        about = json.dumps({"pid": os.getpid(), "names": names}).encode()
        new = self._path.with_suffix(".new")
        self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(self._file, bytes(_LENGTH) + about)
            new.rename(self._path)  # once it is locked: nobody takes it for a dead one's
            self.slots = memoryview(mmap.mmap(self._file, _LENGTH)).cast("H")
        except BaseException:
            os.close(self._file)
            raise

    def forget(self) -> None:
        """Take them away: this process ends as it should."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def bury(folder: Path) -> list[Death]:
    """Return what is known of processes that died since somebody asked; each is told once."""
    found = []
    for path in _files(folder, _LIVING):
        with _locked(path) as content:
            if content is None:
                continue
            death = _read(content)
            if death is not None and death.seen_in:
                os.utime(path.rename(path.with_suffix(_DEAD)))  # a mapped file's own time is that of its making
                found.append(death)
            else:
                path.unlink(missing_ok=True)
    return found


def recent(folder: Path) -> list[Death]:
    """Return what is known of processes that died lately, in no order."""
    found = []
    for path in _files(folder, _DEAD):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()
            elif (death := _read(path.read_bytes())) is not None:
                found.append(death)
    return found


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    _check(folder)


def _check(folder: Path) -> None:
    """Raise :class:`OSError` unless it is a folder into which nobody else can put anything."""
    there = folder.lstat()
    if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    if there.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{folder}: others may write to it")


def _files(folder: Path, kind: str) -> Iterator[Path]:
    """Yield the breadcrumbs of a kind; none where there is no folder, or others could have put them there."""
    with suppress(OSError):
        _check(folder)
        yield from folder.glob(f"*{kind}")


@contextmanager
def _locked(path: Path) -> Iterator[bytes | None]:
    """Yield what a dead process left; None where it lives, or somebody else reads it now."""
    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        yield None
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path.read_bytes() if path.exists() else None
    except BlockingIOError:
        yield None
    finally:
        os.close(file)


def _read(content: bytes) -> Death | None:
    try:
        about = json.loads(content[_LENGTH:])
        names = [(str(plugin), str(hook)) for plugin, hook in about["names"]]
        numbers = {number for number in memoryview(content[:_LENGTH]).cast("H") if number}
        return Death(int(about["pid"]), [names[number - 1] for number in sorted(numbers)])
    except (ValueError, LookupError, TypeError):
        return None
