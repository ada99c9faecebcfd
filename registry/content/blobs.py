"""Blobs as a repository sees them.

A blob is readable in a repository only through its membership there; nothing is found by digest alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import Connection, bindparam, insert, null, select, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.content.deletions import Deletions, Doomed
from registry.content.keys import new_key, storage_unavailable, store_bytes
from registry.content.leases import BLOB_REVIEW, Held, Leases
from registry.content.members import NAMING, members
from registry.content.purged import PurgedDigests
from registry.content.reviews import Reviews
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Blob, GcReview, Manifest, Repository, RepositoryBlob
from registry.db.models.content import LIVE
from registry.digest import Digest
from registry.errors import BlobUnknown, DeletionRefused, NameUnknown, RegistryError
from registry.events.outbox import Outbox
from registry.events.types import BLOB_DELETED, BLOB_PUSHED
from registry.hooks.ports import KeyMissing, OpensFiles, StorageDriver, StorageError
from registry.names import RepositoryName
from registry.repositories.repositories import ensure_repository, find_repository, require_repository
from registry.repositories.tag_values import EndReason

_log = logging.getLogger(__name__)
_NAMED_AT_MOST = 20
_STORE_MS = 24 * 3600 * 1000
"""In this time a blob that the registry provides has been stored, or never will be."""

_FIND = (
    select(Blob.size, Blob.storage_key)
    .join(RepositoryBlob, RepositoryBlob.blob_id == Blob.id)
    .join(Repository, Repository.id == RepositoryBlob.repository_id)
    .where(
        Repository.name == bindparam("name"),
        Repository.current == 1,
        Blob.digest == bindparam("digest"),
        Blob.state == LIVE,
        RepositoryBlob.hidden_at.is_(None),
    )
)
_ASKED = _FIND.add_columns(
    RepositoryBlob.repository_id, RepositoryBlob.blob_id, RepositoryBlob.lease_until, GcReview.due_ms.label("review")
).outerjoin(GcReview, BLOB_REVIEW)
_BLOB = table(Blob)
_LOCK = select(_BLOB).where(_BLOB.c.digest == bindparam("digest")).with_for_update()
_HOLD = select(Blob.id).where(Blob.id == bindparam("blob"), Blob.state == LIVE).with_for_update(read=True)
_INSERT = insert(_BLOB).returning(_BLOB.c.id)
_SUSPECT = (
    update(_BLOB)
    .where(_BLOB.c.digest == bindparam("b_digest"), _BLOB.c.storage_key == bindparam("b_key"), _BLOB.c.state == LIVE)
    .values(checked_ms=None)
)
_MEMBERSHIP = {
    **{column: bindparam(column) for column in ("repository_id", "blob_id", "lease_until")},
    "hidden_at": null(),
}
_NAMING = NAMING.order_by(Manifest.id).limit(_NAMED_AT_MOST)


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob of a repository: its digest, its size in bytes and where its bytes are."""

    digest: Digest
    size: int
    storage_key: str


class BlobService:
    """Finds, reads, mounts and deletes blobs."""

    def __init__(
        self,
        database: Database,
        storage: StorageDriver,
        authorizer: Authorizer,
        deletions: Deletions,
        reviews: Reviews,
        leases: Leases,
        outbox: Outbox,
        lease_ms: int,
    ) -> None:
        """Serve from ``storage``; a push keeps what it names for ``lease_ms`` milliseconds at least."""
        self._database = database
        self._storage = storage
        self._authorizer = authorizer
        self._deletions = deletions
        self._reviews = reviews
        self._leases = leases
        self._lease_ms = lease_ms
        self.outbox = outbox
        self.purged = PurgedDigests(database)
        self._find = database.prepare(_FIND)
        self._asked = database.prepare(_ASKED)
        join = database.insert(RepositoryBlob)
        self._join = database.prepare_change(
            join.values(_MEMBERSHIP).on_conflict_do_update(
                index_elements=["repository_id", "blob_id"],
                set_={"lease_until": join.excluded.lease_until, "hidden_at": null()},
            )
        )

    def find(self, actor: Actor, repository: RepositoryName, digest: Digest) -> StoredBlob:
        """Return a blob of the repository; raise :class:`BlobUnknown` or :class:`NameUnknown`."""
        self._authorizer.require(actor, Action.PULL, repository, str(digest))
        text = str(digest)
        with self._database.read() as connection:
            row = self._find(connection, {"name": repository.value, "digest": text})
            if row is None and find_repository(connection, repository) is None:
                raise NameUnknown(detail={"name": repository.value, "digest": text})
        if row is None:
            raise BlobUnknown(detail={"digest": text})
        return StoredBlob(digest, row[0], row[1])

    def find_kept(self, actor: Actor, repository: RepositoryName, digest: Digest) -> StoredBlob:
        """Return a blob that the repository still keeps, deleted or not; raise :class:`BlobUnknown`."""
        self._authorizer.require(actor, Action.PULL, repository, str(digest))
        text = str(digest)
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            member = members(connection, repository_id, [text], hidden=True).get(text)
        if member is None:
            raise BlobUnknown(detail={"digest": text})
        return StoredBlob(digest, member.size, member.storage_key)

    def check(self, actor: Actor, repository: RepositoryName, digest: Digest) -> StoredBlob:
        """Return a blob as :meth:`find` does; it stays for a lease, for a push that may be about to name it."""
        self._authorizer.require(actor, Action.PULL, repository, str(digest))
        text = str(digest)
        with self._database.read() as connection:
            row = self._asked(connection, {"name": repository.value, "digest": text})
        if row is None or not self._leases.renew_blob(actor, repository, text, Held(*row[2:])):
            return self.find(actor, repository, digest)
        return StoredBlob(digest, row[0], row[1])

    def read(self, blob: StoredBlob, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return the pieces of a blob; raises :class:`Unavailable` before the first one where they are not there."""
        try:
            return self._storage.read(blob.storage_key, start, length)
        except StorageError as error:
            raise self._unreadable(blob, error) from error

    def open_file(self, blob: StoredBlob) -> BinaryIO | None:
        """Return the blob as an open file where the store has files, else None."""
        if not isinstance(self._storage, OpensFiles):
            return None
        try:
            return self._storage.open_file(blob.storage_key)
        except StorageError as error:
            raise self._unreadable(blob, error) from error

    def delete(self, actor: Actor, repository: RepositoryName, digest: Digest) -> None:
        """Hide a blob from the repository at once; its bytes go once nothing needs them.

        Raises :class:`BlobUnknown`, :class:`NameUnknown`, or :class:`DeletionRefused` that names the manifests
        which still need it.
        """
        self._authorizer.require(actor, Action.DELETE, repository, str(digest))
        text = str(digest)

        def work(connection: Connection) -> None:
            repository_id = require_repository(connection, repository)
            member = members(connection, repository_id, [text]).get(text)
            if member is None:
                raise BlobUnknown(detail={"digest": text})
            # Hiding locks the membership, as a push does that names the blob: only then is it certain who names it.
            now = self._database.now(connection)
            connection.execute(
                update(RepositoryBlob)
                .where(RepositoryBlob.repository_id == repository_id, RepositoryBlob.blob_id == member.blob_id)
                .values(hidden_at=now, lease_until=now)
            )
            naming = connection.execute(_NAMING, {"repository": repository_id, "digest": text}).scalars().all()
            if naming:
                raise DeletionRefused(
                    "manifests still name this blob: delete them first",
                    detail={"digest": text, "manifests": list(naming)},
                )
            self._reviews.blobs(connection, repository_id, [member.blob_id], now + self._reviews.grace_ms)
            told = {"reason": EndReason.DELETED.value}
            self.outbox.record(connection, now, BLOB_DELETED, repository_id, text, actor, told)

        self._database.write(work)

    def pushed(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        digest: Digest,
        size: int,
        actor: Actor,
        *,
        source: str | None = None,
    ) -> None:
        """Tell that a blob of ``size`` bytes was uploaded, or mounted from ``source``."""
        told = {"size": size, "mountedFrom": source}
        self.outbox.record(connection, now, BLOB_PUSHED, repository_id, str(digest), actor, told)

    def join(self, connection: Connection, repository_id: int, blob_id: int) -> int:
        """Make a blob a member of a repository, visible and leased, in the caller's transaction; returns the time."""
        now = self._database.now(connection)
        lease = now + self._lease_ms
        self._join(connection, {"repository_id": repository_id, "blob_id": blob_id, "lease_until": lease})
        self._reviews.blobs(connection, repository_id, [blob_id], now + self._reviews.grace_ms)
        return now

    def join_shared(self, connection: Connection, repository_id: int, blob_id: int) -> bool:
        """Join a blob that :meth:`ensure_shared` provided; returns False where it was collected meanwhile."""
        if not self.hold(connection, blob_id):
            return False
        self.join(connection, repository_id, blob_id)
        return True

    @staticmethod
    def hold(connection: Connection, blob_id: int) -> bool:
        """Keep a blob from being given up until this transaction ends; returns False where it was."""
        return connection.execute(_HOLD, {"blob": blob_id}).first() is not None

    def adopt(self, connection: Connection, digest: str, size: int, key: str) -> tuple[int, Doomed | None]:
        """Make ``key`` the bytes of ``digest``, unless another upload was first.

        Returns the blob's row id and what became superfluous: the caller's key, or that of a blob which this
        store cannot read (damaged, or left in another store). It is queued for deletion already.
        """
        self.purged.refuse(connection, digest)
        storage_id = self._storage.storage_id
        now = self._database.now(connection)
        held = {"size": size, "state": LIVE, "storage_id": storage_id, "storage_key": key, "checked_ms": now}
        row = connection.execute(_LOCK, {"digest": digest}).first()
        if row is None:
            fresh = {**held, "digest": digest, "created_ms": now}
            return int(connection.execute(_INSERT, fresh).scalar_one()), None
        if row.state == LIVE and row.storage_id == storage_id:
            loser = Doomed(storage_id, key)
        else:
            loser = Doomed(row.storage_id, row.storage_key)
            connection.execute(update(Blob).where(Blob.id == row.id).values(held))
        self._deletions.queue(connection, now, loser)
        return row.id, loser

    def ensure_shared(self, actor: Actor, repository: RepositoryName, digest: Digest, payload: bytes) -> int:
        """Store a blob that the registry itself provides, once for all repositories; return its row id.

        Where it was not there yet it is one of ``repository``, so that it goes again should no manifest come for it.
        """
        with self._database.read() as connection:
            found = connection.execute(select(Blob.id).where(Blob.digest == str(digest), Blob.state == LIVE)).scalar()
        if found is not None:
            return found
        key = new_key()
        doomed = Doomed(self._storage.storage_id, key)
        # Queued first, so that a crash leaves nothing that no row names.
        self._database.write(
            lambda connection: self._deletions.queue(connection, self._database.now(connection) + _STORE_MS, doomed)
        )
        store_bytes(self._storage, key, payload)

        def work(connection: Connection) -> tuple[int, Doomed | None]:
            self._deletions.keep(connection, doomed)
            blob_id, loser = self.adopt(connection, str(digest), len(payload), key)
            repository_id = ensure_repository(self._database, self.outbox, connection, repository, actor)
            self.join(connection, repository_id, blob_id)
            return blob_id, loser

        blob_id, loser = self._database.write(work)
        if loser is not None:
            self._deletions.remove_now(loser)
        return blob_id

    def _unreadable(self, blob: StoredBlob, error: StorageError) -> RegistryError:
        """Return what the client is told; a blob whose bytes are gone is the next that the scrub looks at."""
        if isinstance(error, KeyMissing):
            _log.error("the bytes of blob %s are gone: %s", blob.digest, error)
            values = {"b_digest": str(blob.digest), "b_key": blob.storage_key}
            with suppress(RegistryError):  # a pull must not fail otherwise because nothing can be written
                self._database.write(lambda connection: connection.execute(_SUSPECT, values), durable=False)
        return storage_unavailable(error)
