"""Who is at work in a place of backups: each backup and each pruning leaves a mark, and looks for those of others.

A mark is written before others' are looked for, so of two that would harm each other one at least sees the other.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from registry.backup.catalogue import BACKUPS, PRUNING, UNDER_WAY, BackupUnusable
from registry.backup.objects import Objects, read_all
from registry.db.engine import system_clock
from registry.errors import RegistryError
from registry.hooks.ports import KeyMissing, StorageError

BEAT_SECONDS = 30.0
STALE_MS = 900_000
"""Who has not renewed a mark for so long is dead."""
_LONGEST = 4096
_log = logging.getLogger(__name__)


@contextmanager
def marked(objects: Objects, name: str) -> Iterator[Callable[[], None]]:
    """Leave a mark while the context lasts; yields what renews it."""

    def renew() -> None:
        objects.put(name, [json.dumps({"time_ms": system_clock()}).encode()])

    renew()
    try:
        yield renew
    finally:
        with suppress(StorageError):  # it grows stale
            objects.delete(name)


def refuse_pruning(objects: Objects) -> None:
    """Raise :class:`BackupUnusable` where somebody prunes: what a backup finds there may go."""
    if _is_fresh(objects, PRUNING):
        raise BackupUnusable("backups are being pruned there: try again when that is over")


def under_way(objects: Objects) -> Sequence[str]:
    """Return the ids of the backups that are being made."""
    names = [name for name, _ in objects.listed(BACKUPS) if name.endswith(f"/{UNDER_WAY}")]
    return [name.split("/")[1] for name in names if _is_fresh(objects, name)]


@contextmanager
def beating(beat: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call ``beat`` every half minute; yields what raises the :class:`BackupUnusable` that it raised, if it did."""
    stop, failures = threading.Event(), list[BackupUnusable]()

    def run() -> None:
        while not stop.wait(BEAT_SECONDS):
            try:
                beat()
            except BackupUnusable as error:
                failures.append(error)
                return
            except (RegistryError, StorageError) as error:  # it is tried again long before anybody takes us for dead
                _log.warning("a mark of this backup was not renewed: %s", error)

    def check() -> None:
        if failures:
            raise failures[0]

    thread = threading.Thread(target=run, name="backup-marks", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        stop.set()
        thread.join()


def _is_fresh(objects: Objects, name: str) -> bool:
    try:
        time_ms = json.loads(read_all(objects, name, _LONGEST))["time_ms"]
        return bool(abs(system_clock() - time_ms) < STALE_MS)
    except KeyMissing:
        return False
    except (ValueError, TypeError, KeyError):
        return False  # nobody who is at work leaves such a mark
