"""Repairs: each takes nothing from anybody, and runs in a transaction that still finds what it mends."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, delete, update

from registry.collection.removal import Removal
from registry.content.deletions import Deletions, Doomed
from registry.content.reviews import Reviews
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Blob, RepositoryBlob
from registry.db.models.content import DAMAGED, LIVE
from registry.fsck.scanning import AnyRow

_BLOB, _MEMBER = table(Blob), table(RepositoryBlob)
_STATE = (
    update(_BLOB)
    .where(
        _BLOB.c.id == bindparam("b_id"), _BLOB.c.state == bindparam("b_from"), _BLOB.c.storage_key == bindparam("b_key")
    )
    .values(state=bindparam("b_to"))
)
_LEAVE = delete(_MEMBER).where(
    _MEMBER.c.repository_id == bindparam("b_repository"), _MEMBER.c.blob_id == bindparam("b_id")
)


class Repairs:
    """Mends what faults tell of; the rows have the columns of the faults that name the repair."""

    def __init__(self, database: Database, reviews: Reviews, deletions: Deletions, removal: Removal) -> None:
        """Queue with ``reviews`` and ``deletions``; give up with ``removal`` what nothing keeps."""
        self._database = database
        self._reviews = reviews
        self._deletions = deletions
        self._removal = removal

    def review_repository(self, connection: Connection, row: AnyRow) -> str:
        """Let the collector look at a deleted repository."""
        self._reviews.repository(connection, row.repository_id, self._soon(connection))
        return "queued for review"

    def review_manifest(self, connection: Connection, row: AnyRow) -> str:
        """Let the collector look at a manifest."""
        self._reviews.manifests(connection, row.repository_id, [row.at], self._soon(connection))
        return "queued for review"

    def review_blob(self, connection: Connection, row: AnyRow) -> str:
        """Let the collector look at a blob in a repository."""
        self._reviews.blobs(connection, row.repository_id, [row.at], self._soon(connection))
        return "queued for review"

    def leave(self, connection: Connection, row: AnyRow) -> str:
        """Remove the membership of a blob or repository that has no row."""
        connection.execute(_LEAVE, {"b_repository": row.repository_id, "b_id": row.at})
        return "the membership is removed"

    def give_up(self, connection: Connection, row: AnyRow) -> str:
        """Let a blob of no repository go."""
        self._removal.blob(connection, self._database.now(connection), row.at)
        return "given up"

    def queue_deletion(self, connection: Connection, row: AnyRow) -> str:
        """Let the bytes of a blob that was given up go, and its row after them."""
        doomed = Doomed(row.storage_id, row.storage_key, blob_id=row.at)
        self._deletions.queue(connection, self._database.now(connection), doomed)
        return "queued for deletion"

    def keep_bytes(self, connection: Connection, row: AnyRow) -> str:
        """Take bytes that are in use out of the queue of deletions."""
        self._deletions.keep(connection, Doomed(row.storage_id, row.storage_key))
        return "taken out of the queue of deletions"

    def doom_orphans(self, connection: Connection, storage_id: str, keys: Iterable[str]) -> None:
        """Queue keys that no row knows; they stay for the recovery window.

        Rows from a backup know nothing of what was pushed after it, until newer ones replace them.
        """
        now = self._database.now(connection)
        due = now + max(self._reviews.grace_ms, self._reviews.default_window_ms)
        for key in keys:
            self._deletions.queue(connection, due, Doomed(storage_id, key))

    def quarantine(self, blob_id: int, key: str) -> bool:
        """Take a damaged blob out of service, so that the next push heals it; False where it was replaced meanwhile."""
        return self._move(blob_id, key, LIVE, DAMAGED)

    def release(self, blob_id: int, key: str) -> bool:
        """Put a blob back into service whose bytes are right after all."""
        return self._move(blob_id, key, DAMAGED, LIVE)

    def _move(self, blob_id: int, key: str, old: str, new: str) -> bool:
        values = {"b_id": blob_id, "b_key": key, "b_from": old, "b_to": new}
        return self._database.write(lambda connection: connection.execute(_STATE, values).rowcount == 1)

    def _soon(self, connection: Connection) -> int:
        return self._database.now(connection) + self._reviews.grace_ms
