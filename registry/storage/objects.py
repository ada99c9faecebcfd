"""Named objects in a folder: what backups are kept in. For a bucket, see :mod:`registry.storage.s3_objects`."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from registry.hooks import KeyMissing
from registry.storage import disk
from registry.storage.keys import PIECE

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_UNFINISHED = ".unfinished-"


class FolderObjects:
    """Objects as files below a folder, for nobody's eyes but the owner's."""

    def __init__(self, root: Path) -> None:
        """Keep them below ``root``, which is made where it is not there."""
        self._root = root
        with disk.reporting(f"make {root}"):
            root.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file beside the one that it becomes, and rename it once it is on the disk."""
        path = self._root / name
        unfinished = path.with_name(f"{_UNFINISHED}{uuid.uuid4().hex}")
        with disk.reporting(f"store {name}"):
            self._make(path.parent)
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                done = 0
                for piece in pieces:
                    with disk.reporting(f"store {name}"):
                        disk.write_all(file.fileno(), memoryview(piece), done)
                    done += len(piece)
                with disk.reporting(f"store {name}"):
                    os.fsync(file.fileno())
            with disk.reporting(f"store {name}"):
                unfinished.replace(path)
                disk.sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise

    def read(self, name: str) -> Generator[bytes, None, None]:
        """Return the pieces of a file; it is open when this returns."""
        pieces = self._pieces(name)
        next(pieces)
        return pieces

    def listed(self, folder: str) -> Iterator[tuple[str, int]]:
        """Walk through a folder; what a killed process left unfinished is no object."""
        with disk.reporting(f"list {folder}"):
            for place, _, files in os.walk(self._root / folder):
                for file in files:
                    path = Path(place, file)
                    if not file.startswith(_UNFINISHED):
                        with contextlib.suppress(FileNotFoundError):  # it went meanwhile
                            yield path.relative_to(self._root).as_posix(), path.stat().st_size

    def delete(self, name: str) -> None:
        """Remove a file."""
        with disk.reporting(f"remove {name}"):
            (self._root / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what killed processes left unfinished, and folders with nothing in them."""
        with disk.reporting("look for what is unfinished"):
            for place, folders, files in os.walk(self._root, topdown=False):
                for file in files:
                    if file.startswith(_UNFINISHED):
                        Path(place, file).unlink(missing_ok=True)
                for folder in folders:
                    with contextlib.suppress(OSError):  # something is in it
                        Path(place, folder).rmdir()

    def _make(self, folder: Path) -> None:
        """Make a folder with those above it, durably."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        disk.sync_folder(folder.parent)

    def _pieces(self, name: str) -> Generator[bytes, None, None]:
        with disk.reporting(f"read {name}"):
            try:
                descriptor = os.open(self._root / name, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise KeyMissing(f"there is no {name} in {self._root}") from error
        try:
            yield b""
            while True:
                with disk.reporting(f"read {name}"):
                    piece = os.read(descriptor, PIECE)
                if not piece:
                    return
                yield piece
        finally:
            os.close(descriptor)
