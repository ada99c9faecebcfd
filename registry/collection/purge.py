"""Purging: a digest that must not be anywhere any more (a leaked secret) goes at once, and may not come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, delete, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.collection.removal import Freed, Removal
from registry.content.deletions import Deletions, Doomed
from registry.content.purged import PurgedDigests
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Blob, Manifest, PurgedDigest, Repository, RepositoryBlob
from registry.digest import Digest
from registry.errors import BlobUnknown, RequestInvalid
from registry.events.outbox import Outbox
from registry.events.types import BLOB_DELETED, DIGEST_ALLOWED, DIGEST_PURGED, MANIFEST_DELETED, EventType
from registry.manifests.creator import EMPTY_LAYER_DIGEST
from registry.pages import Page, cut
from registry.repositories.current import current_of_manifest
from registry.repositories.periods import Periods
from registry.repositories.tag_values import EndReason

MAX_REASON = 1000
_MANIFESTS = (
    select(Manifest.id, Manifest.repository_id, Repository.name, Manifest.deleted_at)
    .join(Repository, Repository.id == Manifest.repository_id)
    # No index begins with the digest; this way the one that has it is read through, and not all manifests with it.
    .where(Manifest.id.in_(select(Manifest.id).where(Manifest.digest == bindparam("digest"))))
    .order_by(Manifest.id)
    .with_for_update(of=Manifest)
)
_BLOB = (
    select(Blob.id, Blob.size, Blob.storage_id, Blob.storage_key)
    .where(Blob.digest == bindparam("digest"))
    .with_for_update()
)
_MEMBERS = (
    select(RepositoryBlob.repository_id, Repository.name, RepositoryBlob.hidden_at)
    .join(Repository, Repository.id == RepositoryBlob.repository_id)
    .where(RepositoryBlob.blob_id == bindparam("blob"))
    .order_by(RepositoryBlob.repository_id)
    .with_for_update(of=RepositoryBlob)
)
_PURGED = table(PurgedDigest)
_LIST = (
    select(PurgedDigest.digest, PurgedDigest.reason, PurgedDigest.actor, PurgedDigest.purged_ms)
    .where(PurgedDigest.digest > bindparam("last"))
    .order_by(PurgedDigest.digest)
    .limit(bindparam("limit"))
)


@dataclass(frozen=True, slots=True)
class Purge:
    """A digest that was purged: why, by whom, and when (milliseconds)."""

    digest: str
    reason: str
    actor: str
    purged_ms: int


@dataclass(frozen=True, slots=True)
class PurgeDone:
    """What a purge took away: rows and bytes, and from which repositories.

    ``bytes_left`` are those that nobody can read any more and the store still has, as it failed or is another one.
    """

    purge: Purge
    freed: Freed
    repositories: Sequence[str]
    bytes_left: int = 0


class PurgeService:
    """Purges digests."""

    def __init__(
        self,
        database: Database,
        authorizer: Authorizer,
        removal: Removal,
        periods: Periods,
        deletions: Deletions,
        outbox: Outbox,
    ) -> None:
        """Take rows away with ``removal``, and bytes with ``deletions``; tell of it by ``outbox``."""
        self._outbox = outbox
        self._database = database
        self._authorizer = authorizer
        self._removal = removal
        self._periods = periods
        self._deletions = deletions
        self._purged = PurgedDigests(database)

    def purge(self, actor: Actor, digest: Digest, reason: str) -> PurgeDone:
        """Hide a blob or manifest in every repository, remove its bytes, and refuse its return.

        No window, lease, pin or protection holds it. What names it stays, and lacks it. A digest that is not here
        is refused from now on as well. Bytes that the store does not remove now are tried again by the worker, or by
        another purge. Raises :class:`RequestInvalid` without a reason.
        """
        self._authorizer.require(actor, Action.ADMIN, None, str(digest))
        if not reason.strip() or len(reason) > MAX_REASON or "\0" in reason:
            raise RequestInvalid(
                f"a purge needs a reason of 1 to {MAX_REASON} characters", detail={"reason": reason[:64]}
            )
        if digest == EMPTY_LAYER_DIGEST:
            raise RequestInvalid(
                "this is Docker's empty layer, which the registry itself provides", detail={"digest": str(digest)}
            )
        done, doomed = self._database.write(
            lambda connection: self._purge(connection, actor, str(digest), reason.strip())
        )
        if doomed is None or self._deletions.remove_now(doomed):
            return replace(done, bytes_left=0)
        return replace(done, freed=replace(done.freed, bytes=0))

    def list(self, actor: Actor, limit: int, last: str) -> Page[Purge]:
        """Return at most ``limit`` purges in the order of their digests, after ``last``."""
        self._authorizer.require(actor, Action.ADMIN, None)
        with self._database.read() as connection:
            rows = connection.execute(_LIST, {"last": last, "limit": limit + 1}).all()
        return cut([Purge(*row) for row in rows], limit)

    def allow(self, actor: Actor, digest: Digest) -> None:
        """Let a purged digest come back; raises :class:`BlobUnknown` where it was not purged."""
        self._authorizer.require(actor, Action.ADMIN, None, str(digest))

        def work(connection: Connection) -> None:
            gone = connection.execute(delete(_PURGED).where(_PURGED.c.digest == str(digest))).rowcount
            if not gone:
                raise BlobUnknown("this digest was not purged", detail={"digest": str(digest)})
            now = self._database.now(connection)
            self._outbox.record(connection, now, DIGEST_ALLOWED, None, str(digest), actor, {})

        self._database.write(work)

    def _purge(self, connection: Connection, actor: Actor, digest: str, reason: str) -> tuple[PurgeDone, Doomed | None]:
        self._purged.hold_back_pushes(connection)
        now = self._database.now(connection)
        connection.execute(
            self._database.insert_ignore(PurgedDigest).values(
                digest=digest, reason=reason, actor=actor.principal, purged_ms=now
            )
        )
        freed, names = Freed(), set()
        for row in connection.execute(_MANIFESTS, {"digest": digest}).all():
            names.add(row.name)
            tags = current_of_manifest(connection, row.id)
            if row.deleted_at is None:
                self._gone(connection, now, MANIFEST_DELETED, row.repository_id, digest, actor)
            self._periods.end(connection, row.repository_id, now, tags, EndReason.PURGED, actor)
            freed.add(self._removal.manifests(connection, now, row.repository_id, [row.id]))
        # The lock waits for mounts that are under way, and makes later ones find the blob given up.
        blob = connection.execute(_BLOB, {"digest": digest}).first()
        doomed = None
        if blob is not None:
            for member in connection.execute(_MEMBERS, {"blob": blob.id}).all():
                names.add(member.name)
                if member.hidden_at is None:
                    self._gone(connection, now, BLOB_DELETED, member.repository_id, digest, actor)
                freed.add(self._removal.membership(connection, now, member.repository_id, blob.id))
            freed.add(self._removal.blob(connection, now, blob.id))
            doomed = Doomed(blob.storage_id, blob.storage_key, blob_id=blob.id)
        purge = self._purged.find(connection, digest)
        assert purge is not None  # noqa: S101 - it was just written
        told = {"reason": reason, "repositories": sorted(names)}
        self._outbox.record(connection, now, DIGEST_PURGED, None, digest, actor, told)
        left = 0 if blob is None else blob.size
        return PurgeDone(Purge(digest, *purge), freed, sorted(names), left), doomed

    def _gone(
        self, connection: Connection, now: int, kind: EventType, repository_id: int, digest: str, actor: Actor
    ) -> None:
        told = {"reason": EndReason.PURGED.value}
        self._outbox.record(connection, now, kind, repository_id, digest, actor, told)
