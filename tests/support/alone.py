"""What the several processes of a run have to agree on: who has the machine alone, and who makes what all use."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until no test runs alone in any process that shares the folder, and with `alone` until no test runs at all.

    Who waits to be alone is not overtaken by those who come later: all pass the same door, one at a time.
    """
    with (folder / "door").open("w") as door, (folder / "machine").open("w") as machine:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return the folder, which the first process that asks for it makes; the others wait for it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".new")
            make(unfinished)
            unfinished.rename(folder)
    return folder
