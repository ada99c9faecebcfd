"""Checks of blobs: their rows against the store, their memberships, and what the store has that no row knows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial

from sqlalchemy import Connection, bindparam, exists, func, select, update

from registry.content.deletions import Deletions, Doomed
from registry.content.reviews import Reviews
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Blob, GcReview, ManifestBlob, Repository, RepositoryBlob, StorageDeletion, Upload
from registry.db.models.content import DAMAGED, DELETING, LIVE
from registry.db.models.work import BLOB, REPOSITORY
from registry.digest import Digest, new_hasher
from registry.fsck.findings import Finding, error, note
from registry.hooks.ports import KeyMissing, ListsKeys, StorageDriver

_BATCH = 500
_YOUNG_MS = 86_400_000
_BLOB = table(Blob)
_IDS = select(Blob.id).where(Blob.id > bindparam("last")).order_by(Blob.id).limit(_BATCH)
_ONE = select(Blob.digest, Blob.size, Blob.state, Blob.storage_id, Blob.storage_key).where(Blob.id == bindparam("blob"))
_HELD = select(RepositoryBlob.repository_id).where(RepositoryBlob.blob_id == bindparam("blob")).limit(1)
_QUEUED = select(StorageDeletion.id).where(
    StorageDeletion.storage_id == bindparam("storage"), StorageDeletion.storage_key == bindparam("key")
)
_QUARANTINE = (
    update(_BLOB)
    .where(_BLOB.c.id == bindparam("b_id"), _BLOB.c.state == LIVE, _BLOB.c.storage_key == bindparam("b_key"))
    .values(state=DAMAGED)
)
_SHARED_KEYS = select(Blob.storage_key).group_by(Blob.storage_id, Blob.storage_key).having(func.count() > 1)
_UNREVIEWED = (
    select(RepositoryBlob.repository_id, RepositoryBlob.blob_id, Blob.digest, RepositoryBlob.lease_until)
    .join(Blob, Blob.id == RepositoryBlob.blob_id)
    .join(Repository, Repository.id == RepositoryBlob.repository_id)
    .where(
        Repository.deleted_at.is_(None),
        ~exists().where(ManifestBlob.repository_id == RepositoryBlob.repository_id, ManifestBlob.digest == Blob.digest),
        ~exists().where(
            GcReview.kind == BLOB,
            GcReview.repository_id == RepositoryBlob.repository_id,
            GcReview.target == RepositoryBlob.blob_id,
        ),
    )
)
_UNREVIEWED_REPOSITORIES = select(Repository.id, Repository.name, Repository.deleted_at).where(
    Repository.deleted_at.is_not(None),
    ~exists().where(GcReview.kind == REPOSITORY, GcReview.target == Repository.id),
)
_KNOWN = (
    select(Blob.storage_key).where(Blob.storage_id == bindparam("storage")),
    select(StorageDeletion.storage_key).where(StorageDeletion.storage_id == bindparam("storage")),
    select(Upload.storage_key).where(Upload.storage_id == bindparam("storage")),
)


class BlobChecks:
    """Checks blobs one by one, each on a fresh look."""

    def __init__(self, database: Database, storage: StorageDriver, deletions: Deletions, reviews: Reviews) -> None:
        """Look into ``storage``."""
        self._database = database
        self._storage = storage
        self._deletions = deletions
        self._reviews = reviews

    def pages(self) -> Iterator[Sequence[int]]:
        """Yield the ids of all blobs, in order."""
        last = 0
        while True:
            with self._database.read() as connection:
                ids = connection.scalars(_IDS, {"last": last}).all()
            if not ids:
                return
            yield ids
            last = ids[-1]

    def check(self, blob_id: int, *, deep: bool) -> list[Finding]:
        """Return what is wrong with one blob; ``deep`` reads all its bytes."""
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"blob": blob_id}).first()
            if row is None:
                return []
            held = connection.execute(_HELD, {"blob": blob_id}).first() is not None
            key = {"storage": row.storage_id, "key": row.storage_key}
            queued = connection.execute(_QUEUED, key).first() is not None
        subject = f"blob {row.digest}"
        if row.state == DELETING:
            repair = partial(self._queue_deletion, Doomed(row.storage_id, row.storage_key, blob_id=blob_id))
            lost = "its bytes are given up, and nobody removes them"
            return [] if queued else [error("deletion without a queue", subject, lost, repair)]
        found = [] if held else [error("blob of no repository", subject, "nothing would ever remove it")]
        if row.storage_id != self._storage.storage_id:
            return [*found, note("blob of another store", subject, f"it is in {row.storage_id}")]
        if row.state == DAMAGED:
            return [*found, error("blob damaged", subject, "in quarantine: push it again, which heals it")]
        reason = self.damage(Digest.parse(row.digest), row.size, row.storage_key, deep=deep)
        if reason is not None:
            found.append(error("blob damaged", subject, reason, partial(self.quarantine, blob_id, row.storage_key)))
        return found

    def damage(self, digest: Digest, size: int, key: str, *, deep: bool) -> str | None:
        """Return what is wrong with a blob's bytes, or None; raises :class:`StorageError` where nobody can tell."""
        try:
            real = self._storage.size(key)
            if real != size:
                return f"it has {real} bytes instead of {size}"
            if not deep:
                return None
            hasher = new_hasher(digest.algorithm)
            with closing(self._storage.read(key)) as pieces:
                for piece in pieces:
                    hasher.update(piece)
        except (KeyMissing, ValueError):
            return "its bytes are gone"
        return None if hasher.hexdigest() == digest.encoded else "its bytes have another digest"

    def quarantine(self, blob_id: int, key: str) -> None:
        """Take a damaged blob out of service, so that clients push it again."""
        self._database.write(lambda connection: connection.execute(_QUARANTINE, {"b_id": blob_id, "b_key": key}))

    def memberships(self, connection: Connection) -> Iterator[Finding]:
        """Yield memberships and deleted repositories that nobody will look at, and keys that blobs share."""
        for row in connection.execute(_UNREVIEWED).yield_per(_BATCH):
            subject = f"repository {row.repository_id}, blob {row.digest}"
            repair = partial(self._queue_blob, row.repository_id, row.blob_id, row.lease_until)
            yield error("blob without a review", subject, "no manifest names it, and nothing would remove it", repair)
        for gone in connection.execute(_UNREVIEWED_REPOSITORIES).yield_per(_BATCH):
            repair = partial(self._queue_repository, gone.id)
            yield error("repository without a review", gone.name, "it was deleted, and nothing would remove it", repair)
        for key in connection.scalars(_SHARED_KEYS):
            yield error("storage key used twice", key, "several blobs claim these bytes")

    def orphans(self) -> Iterator[Finding]:
        """Yield keys in the store that no row knows, young ones aside: their rows may be just coming."""
        if not isinstance(self._storage, ListsKeys):
            yield note("orphans not looked for", self._storage.storage_id, "this store cannot list its keys")
            return
        storage_id = self._storage.storage_id
        known: set[bytes] = set()
        listed = [stored for stored in self._storage.list_keys() if stored.modified_ms < _now_ms() - _YOUNG_MS]
        with self._database.read() as connection:
            for statement in _KNOWN:
                for key in connection.scalars(statement, {"storage": storage_id}).yield_per(_BATCH):
                    known.add(_packed(key))
        for stored in listed:
            if _packed(stored.key) not in known:
                repair = partial(self._queue_deletion, Doomed(storage_id, stored.key))
                yield error("orphan bytes", stored.key, f"{stored.size} bytes that no row knows", repair)

    def _queue_deletion(self, doomed: Doomed) -> None:
        self._database.write(
            lambda connection: self._deletions.queue(connection, self._database.now(connection), doomed)
        )

    def _queue_blob(self, repository_id: int, blob_id: int, due_ms: int) -> None:
        self._database.write(lambda connection: self._reviews.blobs(connection, repository_id, [blob_id], due_ms))

    def _queue_repository(self, repository_id: int) -> None:
        self._database.write(
            lambda connection: self._reviews.repository(connection, repository_id, self._database.now(connection))
        )


def _packed(key: str) -> bytes:
    """Half a key's size: a million of them are held at once."""
    try:
        return bytes.fromhex(key)
    except ValueError:
        return key.encode()


def _now_ms() -> int:
    """Return this machine's time, which is close enough to the store's to tell old from young."""
    return time.time_ns() // 1_000_000
