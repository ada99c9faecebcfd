"""What the store has against what rows know: keys without a row, and uploads without their bytes.

The keys of a store may be many. They are held in a scratch database on the disk, which goes with its connection.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, bindparam, select

from registry.batches import batched
from registry.db.engine import Database
from registry.db.models import Blob, StorageDeletion, Upload
from registry.fsck.findings import Finding, Kind, error, note
from registry.fsck.repairs import Repairs
from registry.fsck.rows import shared_keys
from registry.fsck.scanning import AnyRow, AnySelect
from registry.hooks.ports import KeyMissing, ListsKeys, StorageDriver, StoredKey

_BATCH = 1000
_AT_ONCE = 100
_TABLES: tuple[Any, ...] = (Upload, Blob, StorageDeletion)
"""In the order in which a key goes from one to the next, so that none is missed that moves while they are read."""
_LOOKS = 2
_SCHEMA = """
CREATE TABLE stored (key TEXT PRIMARY KEY, size INTEGER, modified_ms INTEGER) WITHOUT ROWID;
CREATE TABLE known (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE twice (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE upload (id INTEGER PRIMARY KEY, key TEXT, size INTEGER);
"""
_STORED = (
    "INSERT INTO stored VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
    " size = max(size, excluded.size), modified_ms = max(modified_ms, excluded.modified_ms)"
)
_SHORT = (
    "SELECT upload.id FROM upload LEFT JOIN stored ON stored.key = upload.key"
    " WHERE stored.key IS NULL OR stored.size < upload.size ORDER BY upload.id"
)
_UNKNOWN = (
    "SELECT stored.key FROM stored LEFT JOIN known ON known.key = stored.key"
    " WHERE known.key IS NULL AND modified_ms < ? ORDER BY stored.key"
)
_UPLOADS = (
    select(Upload.id, Upload.storage_key, Upload.offset)
    .where(Upload.storage_id == bindparam("storage"), Upload.id > bindparam("last"), Upload.offset > 0)
    .order_by(Upload.id)
    .limit(_BATCH)
)
_UPLOAD = select(Upload.uuid, Upload.storage_key, Upload.offset).where(Upload.id == bindparam("upload"))


def _keys_of(model: Any) -> AnySelect:  # noqa: ANN401 - one of three models with a storage key
    return (
        select(model.id, model.storage_key)
        .where(model.storage_id == bindparam("storage"), model.id > bindparam("last"))
        .order_by(model.id)
        .limit(_BATCH)
    )


def _known(model: Any, keys: Iterable[str]) -> AnySelect:  # noqa: ANN401 - one of three models with a storage key
    return select(model.storage_key).where(model.storage_id == bindparam("storage"), model.storage_key.in_(list(keys)))


class OrphanChecks:
    """Compares the list of a store's keys with the rows."""

    def __init__(self, database: Database, storage: StorageDriver, repairs: Repairs, *, young_ms: int) -> None:
        """Leave keys alone that changed in the last ``young_ms`` milliseconds: their rows may be just coming."""
        self._database = database
        self._storage = storage
        self._repairs = repairs
        self._young_ms = young_ms
        self._of = {"storage": storage.storage_id}

    def look(self) -> Iterator[Finding]:
        """Yield what the store has and no row knows, and what rows of uploads know and the store has not."""
        if not isinstance(self._storage, ListsKeys):
            yield note(Kind.ORPHANS_UNKNOWN, self._storage.storage_id, "this store cannot list its keys")
            return
        with closing(sqlite3.connect("")) as scratch:
            scratch.executescript(_SCHEMA)
            # Rows are read before the list, and again after it where they do not fit: what they knew before, or know
            # now, is no orphan, and what they had acknowledged must be in the list unless they changed.
            start = time.time() * 1000
            self._learn(scratch)
            for rows in self._pages(_UPLOADS):
                scratch.executemany("INSERT INTO upload VALUES (?, ?, ?)", map(tuple, rows))
            for stored in batched(self._storage.list_keys(), _BATCH):
                scratch.executemany(_STORED, map(_values, stored))
            for (upload_id,) in scratch.execute(_SHORT):
                yield from self._short_upload(scratch, upload_id)
            yield from self._shared(scratch)
            unknown = scratch.execute(_UNKNOWN, (start - self._young_ms,))
            for keys in batched((key for (key,) in unknown), _AT_ONCE):
                yield from self._orphans(keys)

    def _learn(self, scratch: sqlite3.Connection) -> None:
        """Note every key that a row knows, and those that two blobs claim."""
        for model in _TABLES:
            for rows in self._pages(_keys_of(model)):
                keys = [row.storage_key for row in rows]
                if model is Blob:
                    twice = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()
                    marks = ",".join("?" * len(keys))
                    twice |= {key for (key,) in scratch.execute(f"SELECT key FROM known WHERE key IN ({marks})", keys)}  # noqa: S608 - nothing but question marks
                    scratch.executemany("INSERT OR IGNORE INTO twice VALUES (?)", [(key,) for key in twice])
                scratch.executemany("INSERT OR IGNORE INTO known VALUES (?)", [(key,) for key in keys])

    def _pages(self, statement: AnySelect) -> Iterator[Sequence[AnyRow]]:
        last = 0
        while True:
            with self._database.read() as connection:
                rows = connection.execute(statement, {**self._of, "last": last}).all()
            if not rows:
                return
            yield rows
            last = rows[-1].id

    def _short_upload(self, scratch: sqlite3.Connection, upload_id: int) -> Iterator[Finding]:
        before = scratch.execute("SELECT key, size FROM upload WHERE id = ?", (upload_id,)).fetchone()
        with self._database.read() as connection:
            row = connection.execute(_UPLOAD, {"upload": upload_id}).first()
        if row is not None and (row.storage_key, row.offset) == before:
            lost = f"the store has not all of the {row.offset} bytes that were acknowledged; its client starts again"
            yield error(Kind.UPLOAD_BYTES, f"upload {row.uuid}", lost)

    def _shared(self, scratch: sqlite3.Connection) -> Iterator[Finding]:
        for keys in batched((key for (key,) in scratch.execute("SELECT key FROM twice ORDER BY key")), _AT_ONCE):
            with self._database.read() as connection:
                rows = connection.execute(shared_keys(keys)).all()
            for key in keys:
                names = [row.digest for row in rows if row.storage_key == key]
                if len(names) > 1:
                    yield error(Kind.KEY_SHARED, f"key {key}", f"claimed by {' and '.join(names)}")

    def _orphans(self, keys: Sequence[str]) -> Iterator[Finding]:
        known: set[str] = set()
        for _ in range(_LOOKS):  # a copy of an upload's bytes goes the other way, once
            with self._database.read() as connection:
                known |= self._among(connection, keys)
        for key in self._still_there([key for key in keys if key not in known]):
            yield error(Kind.ORPHAN, f"key {key}", "no row knows these bytes", self._repair(key))

    def _still_there(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those of some keys that the store still has: collection may have removed others meanwhile."""
        gone = {key for key in keys if not self._is_complete(key)}
        if gone and isinstance(self._storage, ListsKeys):  # or they are of uploads, of which only the list tells
            gone -= {stored.key for stored in self._storage.list_keys()}
        return [key for key in keys if key not in gone]

    def _is_complete(self, key: str) -> bool:
        try:
            self._storage.size(key)
        except KeyMissing:
            return False
        return True

    def _repair(self, key: str) -> Any:  # noqa: ANN401 - a Finding's repair
        def work(connection: Connection) -> str:
            if self._among(connection, [key]):
                return "a row knows it by now"
            self._repairs.doom_orphans(connection, self._storage.storage_id, [key])
            return "queued for deletion after the recovery window"

        return lambda: self._database.write(work)

    def _among(self, connection: Connection, keys: Sequence[str]) -> set[str]:
        return {key for model in _TABLES for key in connection.scalars(_known(model, keys), self._of)}


def _values(stored: StoredKey) -> tuple[str, int | None, int]:
    return stored.key, stored.size, stored.modified_ms
