"""Making a registry of a backup: in an empty database of either kind, and in any storage.

Blobs keep their storage keys, so that a restore that was cut off goes on where it was, and one into the storage that
they came from only reads them. All rows come in one transaction after them: either all is there or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Connection, column, delete, func, insert, inspect, select, table, text

from registry.backup.blob_rows import TABLE as BLOBS
from registry.backup.blob_rows import BlobRow, blobs_of
from registry.backup.catalogue import BackupUnusable, DumpedTable, Manifest
from registry.backup.copying import AT_ONCE, THREADS, WrongBytes, checked, from_objects, from_storage, is_right
from registry.backup.dumps import Row, rows_of
from registry.backup.objects import Objects
from registry.batches import batched
from registry.content.keys import is_key
from registry.db.engine import Database
from registry.db.models import (
    AccessState,
    BackupHold,
    ReadOnlySwitch,
    RepositoryBlob,
    StorageDeletion,
    Upload,
    UploadPart,
)
from registry.db.models.content import DAMAGED, DELETING
from registry.hooks.ports import StorageDriver, UploadState

Progress = Callable[[str, int, int], None]
LEFT_OUT = frozenset(model.__tablename__ for model in (BackupHold, ReadOnlySwitch, StorageDeletion, Upload, UploadPart))
"""Of these tables nothing is restored: what is in them is about bytes that no backup has, or about that registry."""
SEEDED = frozenset({AccessState.__tablename__})
"""These tables have rows in an empty registry."""
_ROWS_AT_ONCE = 100
_SEQUENCE = text("SELECT pg_get_serial_sequence(:table, 'id')")
_SET_SEQUENCE = text("SELECT setval(CAST(:sequence AS regclass), :last)")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored; ``damaged`` are the digests of blobs that are in quarantine, as their bytes are not right."""

    rows: int
    blobs: int
    bytes: int
    stored: int
    damaged: Sequence[str]


class Restorer:
    """Fills one registry that is empty."""

    def __init__(self, database: Database, storage: StorageDriver) -> None:
        """Fill ``database`` and ``storage``."""
        self._database = database
        self._storage = storage

    def require_empty(self) -> None:
        """Raise :class:`BackupUnusable` where the database holds anything."""
        with self._database.read() as connection:
            _require_empty(connection)

    def blobs(self, objects: Objects, manifest: Manifest, progress: Progress) -> Mapping[str, bool]:
        """Store the blobs; returns by digest whether each had to be stored, without those that are damaged."""
        done: dict[str, bool] = {}
        so_far = 0

        def store(blob: BlobRow) -> tuple[BlobRow, bool | None]:
            return blob, self._store(objects, blob)

        with ThreadPoolExecutor(THREADS, thread_name_prefix="restore") as pool:
            for some in batched(blobs_of(objects, manifest), AT_ONCE):
                for blob, stored in pool.map(store, some):
                    so_far += blob.size
                    progress("blobs", so_far, manifest.bytes)
                    if stored is not None:
                        done[str(blob.digest)] = stored
        return MappingProxyType(done)

    def rows(self, objects: Objects, manifest: Manifest, stored: Mapping[str, bool], progress: Progress) -> Restored:
        """Load all rows in one transaction; the schema is at the revision of the backup.

        Raises :class:`BackupUnusable` where the database is not empty any more, or a table is damaged.
        """

        def work(connection: Connection) -> Restored:
            _require_empty(connection)
            loading = _Loading(connection, self._storage.storage_id, stored)
            known = set(inspect(connection).get_table_names())
            for name in SEEDED & known:
                connection.execute(delete(table(name)))
            for number, dumped in enumerate(manifest.tables):
                progress(f"table {dumped.name}", number, len(manifest.tables))
                if dumped.name not in known:
                    raise BackupUnusable(
                        f"the backup has a table {dumped.name}, which no schema {manifest.revision} has"
                    )
                if dumped.name not in LEFT_OUT:
                    loading.load(dumped, rows_of(objects, manifest.id, dumped))
            restored = sum(stored.values())
            return Restored(loading.rows, loading.blobs, loading.bytes, restored, tuple(loading.damaged))

        return self._database.write(work, always=True)

    def _store(self, objects: Objects, blob: BlobRow) -> bool | None:
        """Store a blob unless it is there; returns None where the backup has no right bytes of it."""
        if not is_key(blob.storage_key):
            return None
        if is_right(from_storage(self._storage, blob.storage_key), blob.digest, blob.size):
            return False
        self._storage.delete(blob.storage_key)
        upload = UploadState(blob.storage_key)
        self._storage.abort_upload(upload)  # of a restore that was cut off
        writer = self._storage.open_upload(upload, blob.size)
        try:
            for piece in checked(from_objects(objects, blob.name), blob.digest, blob.size):
                writer.write(piece)
        except WrongBytes:
            writer.discard()
            return None
        except BaseException:
            writer.discard()
            raise
        self._storage.complete_upload(writer.finish())
        return True


class _Loading:
    """Puts rows into tables of which only the names are known: an older schema has others than the models say."""

    def __init__(self, connection: Connection, storage_id: str, stored: Mapping[str, bool]) -> None:
        self._connection = connection
        self._storage_id = storage_id
        self._stored = stored
        self._left_out: set[object] = set()
        self.rows = self.blobs = self.bytes = 0
        self.damaged: list[str] = []

    def load(self, dumped: DumpedTable, rows: Iterator[Row]) -> None:
        """Insert all rows of a table, and let its numbers go on behind them."""
        if dumped.name == BLOBS:
            rows = self._blobs(rows)
        elif dumped.name == RepositoryBlob.__tablename__:
            rows = (row for row in rows if row["blob_id"] not in self._left_out)
        names: tuple[str, ...] = ()
        for some in batched(rows, _ROWS_AT_ONCE):
            names = tuple(some[0])
            self._connection.execute(insert(table(dumped.name, *map(column, names))), some)
            self.rows += len(some)
        if "id" in names and self._connection.dialect.name == "postgresql":
            self._go_on_behind(dumped.name)

    def _blobs(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows of blobs as they are in this storage; those about to be removed are left out."""
        for row in rows:
            if row["state"] == DELETING:
                self._left_out.add(row["id"])
                continue
            self.blobs += 1
            self.bytes += int(str(row["size"]))
            state = row["state"]
            if row["digest"] not in self._stored:
                self.damaged.append(str(row["digest"]))
                state = DAMAGED
            yield {**row, "state": state, "storage_id": self._storage_id}

    def _go_on_behind(self, name: str) -> None:
        quoted = self._connection.dialect.identifier_preparer.quote(name)
        sequence = self._connection.scalar(_SEQUENCE, {"table": quoted})
        if sequence is not None:
            last = self._connection.scalar(select(func.max(column("id"))).select_from(table(name)))
            self._connection.execute(_SET_SEQUENCE, {"sequence": sequence, "last": last})


def _require_empty(connection: Connection) -> None:
    names = set(inspect(connection).get_table_names()) - SEEDED - {"alembic_version"}
    for name in sorted(names):
        if connection.execute(select(text("1")).select_from(table(name)).limit(1)).first() is not None:
            raise BackupUnusable(
                f"this registry is not empty (its table {name} has rows): restore into a new one, with another"
                " --data, or an empty --database-url"
            )
