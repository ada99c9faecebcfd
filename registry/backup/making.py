"""Making a backup beside a registry that goes on.

First a hold keeps everybody from removing bytes, then one transaction reads all tables, then the blobs are copied that
the place of backups lacks, and the manifest comes last: where it is, all is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import text

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.backup import catalogue
from registry.backup.blob_rows import TABLE, BlobRow, blobs_in
from registry.backup.catalogue import BackupUnusable, DumpedTable, Manifest
from registry.backup.copying import AT_ONCE, THREADS, WrongBytes, checked, from_objects, from_storage, is_right
from registry.backup.dumps import dump, pieces_of, rows_of
from registry.backup.marks import beating, marked, refuse_pruning
from registry.backup.objects import Objects
from registry.batches import batched
from registry.content.holds import Holds
from registry.db.base import Base
from registry.db.engine import Database
from registry.events.outbox import time_text
from registry.hooks.ports import StorageDriver

Progress = Callable[[str, int, int], None]
"""Is told what is being done, and how far: bytes or rows done, of all (0: unknown)."""
_LEASE_MS = 900_000
_REVISION = text("SELECT version_num FROM alembic_version")


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was just made: its manifest, and what had to be copied for it."""

    manifest: Manifest
    copied: int
    copied_bytes: int


class _Outcome(Enum):
    COPIED = "copied"
    PRESENT = "present"
    UNREADABLE = "unreadable"


class BackupService:
    """Makes backups of one registry."""

    def __init__(self, database: Database, storage: StorageDriver, authorizer: Authorizer) -> None:
        """Copy ``database``, and the blobs in ``storage``."""
        self._database = database
        self._storage = storage
        self._authorizer = authorizer
        self._holds = Holds(database, _LEASE_MS)

    def make(self, actor: Actor, objects: Objects, *, verify: bool, progress: Progress) -> Made:
        """Make a backup; with ``verify`` blobs that are there already are read again, and replaced where damaged.

        Raises :class:`~registry.backup.catalogue.BackupUnusable`, :class:`~registry.hooks.ports.StorageError`.
        """
        self._authorizer.require(actor, Action.ADMIN, None)
        catalogue.prepare_place(objects)
        backup = catalogue.new_id(self._database.clock_ms())
        with marked(objects, catalogue.inside(backup, catalogue.UNDER_WAY)) as renew:
            refuse_pruning(objects)
            self._holds.begin(backup)
            try:
                with beating(lambda: self._beat(backup, renew)) as check:
                    made = self._make(objects, backup, progress, check, verify=verify)
                self._beat(backup, renew)  # all of it was held to the end
                catalogue.write_manifest(objects, made.manifest)
            finally:
                self._holds.end(backup)
        return made

    def _beat(self, backup: str, renew: Callable[[], None]) -> None:
        if not self._holds.renew(backup):
            raise BackupUnusable("this backup has been silent for too long, and bytes may be gone: make it anew")
        renew()

    def _make(
        self, objects: Objects, backup: str, progress: Progress, check: Callable[[], None], *, verify: bool
    ) -> Made:
        created = time_text(self._database.clock_ms()) or ""
        with tempfile.TemporaryDirectory(prefix="moorage-backup-") as folder:
            revision, tables = self._dump(Path(folder), progress)
            for table in tables:
                name = catalogue.table_name(backup, table.name)
                objects.put(name, pieces_of(_path(Path(folder), table.name)))
        (of_blobs,) = (table for table in tables if table.name == TABLE)
        counts = _Counts()
        total = sum(blob.size for blob in blobs_in(rows_of(objects, backup, of_blobs)))
        present = catalogue.sizes_of_blobs(objects)

        def copy(blob: BlobRow) -> tuple[BlobRow, _Outcome]:
            return blob, self._copy(objects, blob, present.get(blob.name), verify=verify)

        with ThreadPoolExecutor(THREADS, thread_name_prefix="backup") as pool:
            for some in batched(blobs_in(rows_of(objects, backup, of_blobs)), AT_ONCE):
                for blob, outcome in pool.map(copy, some):
                    counts.add(blob, outcome)
                    progress("blobs", counts.bytes, total)
                check()
        dialect = self._database.dialect
        unreadable = tuple(counts.unreadable)
        manifest = Manifest(
            backup, created, version("moorage"), revision, dialect, tables, counts.blobs, counts.bytes, unreadable
        )
        return Made(manifest, counts.copied, counts.copied_bytes)

    def _dump(self, folder: Path, progress: Progress) -> tuple[str, tuple[DumpedTable, ...]]:
        """Write all tables as one transaction sees them, into files."""
        tables, found = Base.metadata.sorted_tables, list[DumpedTable]()
        with self._database.snapshot() as connection:
            revision = str(connection.execute(_REVISION).scalar_one())
            for number, table in enumerate(tables):
                progress(f"table {table.name}", number, len(tables))
                found.append(dump(connection, table, _path(folder, table.name)))
        return revision, tuple(found)

    def _copy(self, objects: Objects, blob: BlobRow, present: int | None, *, verify: bool) -> _Outcome:
        if present == blob.size and (not verify or is_right(from_objects(objects, blob.name), blob.digest, blob.size)):
            return _Outcome.PRESENT
        if blob.storage_id != self._storage.storage_id:
            return _Outcome.UNREADABLE
        try:
            objects.put(blob.name, checked(from_storage(self._storage, blob.storage_key), blob.digest, blob.size))
        except WrongBytes:
            return _Outcome.UNREADABLE
        return _Outcome.COPIED


class _Counts:
    """What became of the blobs."""

    def __init__(self) -> None:
        self.blobs = self.bytes = self.copied = self.copied_bytes = 0
        self.unreadable: list[str] = []

    def add(self, blob: BlobRow, outcome: _Outcome) -> None:
        self.blobs += 1
        self.bytes += blob.size
        if outcome is _Outcome.COPIED:
            self.copied += 1
            self.copied_bytes += blob.size
        elif outcome is _Outcome.UNREADABLE:
            self.unreadable.append(str(blob.digest))


def _path(folder: Path, table: str) -> Path:
    return folder / f"{table}.jsonl.gz"
