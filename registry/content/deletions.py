"""Physical deletion: keys are queued in the transaction that gives them up, and removed after it.

A key is never used twice, so a deletion that comes late or twice hits nothing that lives. While a backup holds all
bytes, what is queued stays so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, delete, not_, select, update

from registry.batches import batched
from registry.content.holds import held, is_held
from registry.db.engine import Database
from registry.db.models import Blob, StorageDeletion
from registry.db.models.content import DELETING
from registry.errors import RegistryError
from registry.hooks.ports import Part, RemovesMany, StorageDriver, StorageError, UploadState
from registry.steps import Steps

_log = logging.getLogger(__name__)
_BATCH = 1000
"""So many at once: each costs a flush of its folder, unless another one of the batch is in the same."""
_PIECE = 100
"""So many rows go in one transaction, for which every push may have to wait."""
_FAILURES = (StorageError, ValueError)
"""What the store raises; ValueError of a key that is none, in a row that was damaged."""
_FIRST_WAIT_MS, _LONGEST_WAIT_MS = 60_000, 6 * 3_600_000


class Step(StrEnum):
    """The named steps of a physical deletion; see :mod:`registry.steps`."""

    BYTES = "deletion.bytes"
    ROWS = "deletion.rows"


@dataclass(frozen=True, slots=True)
class Doomed:
    """Bytes that nothing needs any more: a completed key, or an upload that never will be."""

    storage_id: str
    storage_key: str
    handle: str = ""
    tail_etag: str = ""
    blob_id: int | None = None
    """The row that still stands for these bytes, and goes after them."""


class Deletions:
    """The queue of physical deletions."""

    def __init__(self, database: Database, storage: StorageDriver, steps: Steps) -> None:
        """Delete from ``storage`` what is queued in ``database``."""
        self._database = database
        self._storage = storage
        self._steps = steps

    def queue(self, connection: Connection, due_ms: int, doomed: Doomed) -> None:
        """Queue ``doomed`` in the caller's transaction; it may be removed from ``due_ms`` on."""
        connection.execute(
            self._database.insert_ignore(StorageDeletion).values(
                storage_id=doomed.storage_id,
                storage_key=doomed.storage_key,
                handle=doomed.handle,
                tail_etag=doomed.tail_etag,
                blob_id=doomed.blob_id,
                due_ms=due_ms,
                attempts=0,
            )
        )

    def keep(self, connection: Connection, doomed: Doomed) -> None:
        """Take ``doomed`` out of the queue in the caller's transaction: it came into use."""
        self._forget(connection, doomed)

    def remove_now(self, doomed: Doomed) -> bool:
        """Remove queued bytes after the commit; a failure leaves them queued for later. Tells whether they are gone."""
        if doomed.storage_id != self._storage.storage_id:
            return False
        erased = False
        try:
            if is_held(self._database):
                return False
            self._erase(doomed)
            erased = True
            self._database.write(partial(self._forget, doomed=doomed), durable=False)
        except (*_FAILURES, RegistryError) as error:
            _log.warning("key %s stays queued for deletion: %s", doomed.storage_key, error)
        return erased

    def wanted(self) -> bool:
        """Tell whether a deletion is due."""
        return bool(self._due(0))

    def drain(self, stopping: Callable[[], bool] = bool) -> int:
        """Remove what is due, and return how many keys were removed; what fails is tried again later."""
        removed = last = 0
        while not stopping() and (batch := self._due(last)):
            last = batch[-1][0]
            erased = self._erased_together([doomed for _, doomed in batch]) or [
                doomed for row_id, doomed in batch if not stopping() and self._erased(row_id, doomed)
            ]
            # Whoever dies before this, or loses it in a power cut, removes the same keys once more.
            for some in batched(erased, _PIECE):
                self._database.write(partial(self._forget_all, erased=some), durable=False)
            self._steps(Step.ROWS)
            removed += len(erased)
        return removed

    def _erased_together(self, batch: Sequence[Doomed]) -> Sequence[Doomed]:
        """Remove all, and return them; return none where the store cannot, or failed at one of them."""
        if not isinstance(self._storage, RemovesMany):
            return ()
        try:
            self._storage.remove_many([_state(doomed) for doomed in batch])
        except _FAILURES:  # told of the one that it is about, which is tried next
            return ()
        self._steps(Step.BYTES)
        return batch

    def _erased(self, row_id: int, doomed: Doomed) -> bool:
        """Remove one key's bytes, or put it off."""
        try:
            self._erase(doomed)
        except _FAILURES as error:
            _log.warning("key %s stays queued for deletion: %s", doomed.storage_key, error)
            self._database.write(partial(self._put_off, row_id=row_id), durable=False)
            return False
        self._steps(Step.BYTES)
        return True

    def _forget_all(self, connection: Connection, erased: Sequence[Doomed]) -> None:
        for doomed in erased:
            self._forget(connection, doomed)

    def _due(self, after: int) -> list[tuple[int, Doomed]]:
        with self._database.read() as connection:
            rows = connection.execute(
                select(StorageDeletion)
                .where(
                    StorageDeletion.id > after,
                    StorageDeletion.storage_id == self._storage.storage_id,
                    StorageDeletion.due_ms <= self._database.now(connection),
                    not_(held(self._database.now_clause())),
                )
                .order_by(StorageDeletion.id)
                .limit(_BATCH)
            ).all()
        return [(row.id, _doomed(row)) for row in rows]

    def _erase(self, doomed: Doomed) -> None:
        self._storage.abort_upload(_state(doomed))
        self._storage.delete(doomed.storage_key)

    def _put_off(self, connection: Connection, row_id: int) -> None:
        row = connection.execute(select(StorageDeletion.attempts).where(StorageDeletion.id == row_id)).first()
        if row is None:
            return
        wait = min(_FIRST_WAIT_MS << min(row.attempts, 32), _LONGEST_WAIT_MS)
        connection.execute(
            update(StorageDeletion)
            .where(StorageDeletion.id == row_id)
            .values(attempts=row.attempts + 1, due_ms=self._database.now(connection) + wait)
        )

    @staticmethod
    def _forget(connection: Connection, doomed: Doomed) -> None:
        connection.execute(
            delete(StorageDeletion).where(
                StorageDeletion.storage_id == doomed.storage_id,
                StorageDeletion.storage_key == doomed.storage_key,
            )
        )
        if doomed.blob_id is not None:  # unless an upload of the same digest took the row over meanwhile
            connection.execute(
                delete(Blob).where(
                    Blob.id == doomed.blob_id, Blob.state == DELETING, Blob.storage_key == doomed.storage_key
                )
            )


def _state(doomed: Doomed) -> UploadState:
    tail = Part(0, 0, doomed.tail_etag) if doomed.tail_etag else None
    return UploadState(doomed.storage_key, handle=doomed.handle, tail=tail)


def _doomed(row: Row[Any]) -> Doomed:
    return Doomed(row.storage_id, row.storage_key, row.handle, row.tail_etag, row.blob_id)
