"""Looking after backups: which there are, whether all of them can be restored, and which may go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from registry.backup import catalogue
from registry.backup.blob_rows import BlobRow, blobs_of
from registry.backup.catalogue import BackupUnusable, Manifest
from registry.backup.copying import AT_ONCE, THREADS, from_objects, is_right
from registry.backup.dumps import rows_of
from registry.backup.marks import beating, marked, under_way
from registry.backup.objects import Objects
from registry.batches import batched

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Listed:
    """A backup as a list tells it: ``manifest`` is None for one that was never ended, or cannot be used."""

    id: str
    manifest: Manifest | None
    state: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check read, and what it found wrong, in words."""

    backups: int
    blobs: int
    bytes: int
    wrong: Sequence[str]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed: backups by their ids, and blobs that no other backup names."""

    backups: Sequence[str]
    blobs: int
    bytes: int


def listed(objects: Objects) -> Sequence[Listed]:
    """Return all backups, oldest first; raises :class:`BackupUnusable` where there never was one."""
    catalogue.require_place(objects)
    busy, found = set(under_way(objects)), []
    for backup, ended in catalogue.backups(objects).items():
        if not ended:
            found.append(Listed(backup, None, "under way" if backup in busy else "unfinished"))
            continue
        try:
            found.append(Listed(backup, catalogue.read_manifest(objects, backup), "whole"))
        except BackupUnusable as error:
            found.append(Listed(backup, None, f"unusable: {error}"))
    return found


def verify(objects: Objects, backup: str | None, progress: Progress) -> Checked:
    """Read all that backups need, or one of them, and compare its digests.

    Blobs are read once for all backups. Raises :class:`BackupUnusable` where there is nothing to check.
    """
    wrong: list[str] = []
    manifests = list(_usable(objects, backup, wrong))
    if not manifests and not wrong:
        raise BackupUnusable("no backup there was ever ended")
    needed: dict[str, BlobRow] = {}
    for manifest in manifests:
        gone = set(manifest.unreadable)
        try:
            for table in manifest.tables:
                for _ in rows_of(objects, manifest.id, table):
                    pass
            needed.update({blob.name: blob for blob in blobs_of(objects, manifest) if str(blob.digest) not in gone})
        except BackupUnusable as error:
            wrong.append(str(error))

    def look(blob: BlobRow) -> tuple[BlobRow, bool]:
        return blob, is_right(from_objects(objects, blob.name), blob.digest, blob.size)

    done, total = 0, sum(blob.size for blob in needed.values())
    with ThreadPoolExecutor(THREADS, thread_name_prefix="verify") as pool:
        for some in batched(needed.values(), AT_ONCE):
            for blob, right in pool.map(look, some):
                done += blob.size
                progress("blobs", done, total)
                if not right:
                    wrong.append(
                        f"blob {blob.digest} is damaged or missing: make a backup with --verify, or restore it"
                    )
    return Checked(len(manifests), len(needed), total, wrong)


def prune(objects: Objects, keep: int) -> Pruned:
    """Remove all but the newest ``keep`` whole backups, what was never ended, and blobs that nothing names then.

    Raises :class:`BackupUnusable` where a backup is under way, or where one that stays cannot be read: nobody knows
    then what it needs.
    """
    catalogue.require_place(objects)
    with marked(objects, catalogue.PRUNING) as renew, beating(renew) as check:
        if busy := under_way(objects):
            raise BackupUnusable(f"backup {busy[0]} is being made there: try again when that is over")
        found = catalogue.backups(objects)
        whole = [backup for backup, ended in found.items() if ended]
        kept = whole[-keep:]
        needed = {blob.name for backup in kept for blob in blobs_of(objects, catalogue.read_manifest(objects, backup))}
        gone = [backup for backup in found if backup not in kept]
        for backup in gone:
            _remove(objects, backup)
        blobs = size = 0
        for name, length in list(objects.listed(catalogue.BLOBS)):
            if name not in needed:
                check()
                objects.delete(name)
                blobs, size = blobs + 1, size + length
        objects.sweep()
    return Pruned(gone, blobs, size)


def _remove(objects: Objects, backup: str) -> None:
    """Remove a backup, its manifest first: what is left of it is then taken for no whole one."""
    objects.delete(catalogue.inside(backup, catalogue.MANIFEST))
    for name, _ in list(objects.listed(f"{catalogue.BACKUPS}/{backup}")):
        objects.delete(name)


def _usable(objects: Objects, backup: str | None, wrong: list[str]) -> Iterator[Manifest]:
    """Yield the manifests to check, and add to ``wrong`` why others cannot be used."""
    catalogue.require_place(objects)
    ended = [one for one, whole in catalogue.backups(objects).items() if whole]
    for one in ended if backup is None else [catalogue.require_id(backup)]:
        try:
            yield catalogue.read_manifest(objects, one)
        except BackupUnusable as error:
            wrong.append(str(error))
