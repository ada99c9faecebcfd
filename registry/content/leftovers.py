"""What crashes left of uploads in the store: bytes that a writer sent and that no row ever acknowledged.

A process that dies between the store's answer and the commit leaves a tail, or parts, that no state names. Requests do
not look for them, as that takes a list of all there is of uploads; this does, now and then. What is younger than the
longest silence of an upload is left alone, and so is all that belongs to an upload or a deletion with a row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select, union_all

from registry.batches import batched
from registry.db.engine import Database
from registry.db.models import StorageDeletion, Upload
from registry.hooks.ports import ListsUploads, StorageDriver, StorageError, StoredUpload

_log = logging.getLogger(__name__)
_BATCH = 500
_KNOWN = union_all(
    *(
        select(model.storage_key).where(
            model.storage_id == bindparam("storage"), model.storage_key.in_(bindparam("keys", expanding=True))
        )
        for model in (Upload, StorageDeletion)
    )
)


@dataclass(slots=True)
class Swept:
    """How many pieces of uploads were removed, and at how many that failed."""

    removed: int = 0
    failed: int = 0


class Leftovers:
    """Removes pieces of uploads that no row knows."""

    def __init__(self, database: Database, storage: StorageDriver, silence_ms: int) -> None:
        """Leave alone what changed in the last ``silence_ms`` milliseconds: no upload is silent for longer."""
        self._database = database
        self._storage = storage
        self._silence_ms = silence_ms

    def wanted(self) -> bool:
        """Tell whether this store can list what it has of uploads."""
        return isinstance(self._storage, ListsUploads)

    def run(self, progress: Callable[[int], object], stopping: Callable[[], bool]) -> Swept:
        """Go through all pieces once; raises :class:`~registry.hooks.StorageError` where the list fails."""
        swept, looked_at = Swept(), 0
        if not isinstance(self._storage, ListsUploads):
            return swept
        with self._database.read() as connection:
            young = self._database.now(connection) - self._silence_ms
        for pieces in batched(self._storage.list_uploads(), _BATCH):
            if stopping():
                break
            looked_at += len(pieces)
            self._remove(swept, [piece for piece in pieces if piece.modified_ms < young])
            progress(looked_at)
        return swept

    def _remove(self, swept: Swept, pieces: Sequence[StoredUpload]) -> None:
        """Remove those that no row knows: each had a row before it was stored, so that no upload to come has it."""
        known = self._known({piece.state.key for piece in pieces})
        for piece in pieces:
            if piece.state.key in known:
                continue
            try:
                self._storage.abort_upload(piece.state)
            except StorageError as error:
                swept.failed += 1
                _log.warning("what was left of upload %s stays: %s", piece.state.key, error)
            else:
                swept.removed += 1

    def _known(self, keys: set[str]) -> set[str]:
        if not keys:
            return set()
        with self._database.read() as connection:
            return set(connection.scalars(_KNOWN, {"storage": self._storage.storage_id, "keys": sorted(keys)}))
