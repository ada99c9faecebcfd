"""The online collector: looks at what is due for review, and removes what nothing keeps.

Several collectors may run at once, in any number of processes. Each batch is one transaction: reviews are claimed,
each candidate is locked, its roots and leases are looked up under the lock, and only then it goes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, union_all, update

from registry.collection.removal import MEMBERSHIP, Freed, Removal, lock_membership
from registry.collection.roots import FOR_EVER, Place, Walk, place
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Blob, GcReview, Manifest, Repository, Upload, work
from registry.steps import Steps

BATCH = 50
_PIECE = 200
"""How many rows of a deleted repository go in one transaction."""
_REVIEW = table(GcReview)
_DUE = (
    select(GcReview.id, GcReview.kind, GcReview.repository_id, GcReview.target, GcReview.due_ms)
    .where(GcReview.due_ms <= bindparam("now"))
    .order_by(GcReview.due_ms, GcReview.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_ANY_DUE = union_all(
    select(GcReview.id).where(GcReview.due_ms <= bindparam("now")).limit(1).subquery().select(),
    select(Upload.id).where(Upload.deadline_ms < bindparam("silent")).limit(1).subquery().select(),
)
_DROP = delete(_REVIEW).where(_REVIEW.c.id == bindparam("b_id"))
_MOVE = update(_REVIEW).where(_REVIEW.c.id == bindparam("b_id")).values(due_ms=bindparam("b_due"))
_DIGEST = {
    work.MANIFEST: select(Manifest.digest).where(Manifest.id == bindparam("target")),
    work.BLOB: select(Blob.digest).where(Blob.id == bindparam("target")),
    work.REPOSITORY: select(Repository.name).where(Repository.id == bindparam("target")),
}


class Step(StrEnum):
    """The named steps of a collection, in the order of their coming; see :mod:`registry.steps`."""

    CLAIMED = "collection.claimed"
    DECIDED = "collection.decided"
    REMOVED = "collection.removed"
    COMMITTED = "collection.committed"
    UPLOADS = "collection.uploads"


class Review(NamedTuple):
    """Something that is due to be looked at; the fields are columns of ``gc_review``."""

    id: int
    kind: str
    repository_id: int
    target: int
    due_ms: int


@dataclass(frozen=True, slots=True)
class Removed:
    """One thing that goes: its kind, its digest (a repository: its name), its repository's id, and bytes freed."""

    kind: str
    name: str
    repository_id: int
    bytes: int


@dataclass(slots=True)
class Collected:
    """What a run did: how many reviews it looked at, what went, and whether more was due."""

    looked_at: int = 0
    freed: Freed = field(default_factory=Freed)
    removed: list[Removed] = field(default_factory=list)
    more: bool = False


class _Undo(Exception):
    """Rolls a preview back."""


class Collector:
    """Works the queue of reviews."""

    def __init__(
        self, database: Database, removal: Removal, *, window_ms: int, upload_expiry_ms: int, steps: Steps
    ) -> None:
        """Keep what ended for ``window_ms``, unless its repository says otherwise; tell ``steps`` of each step."""
        self._database = database
        self._removal = removal
        self._window_ms = window_ms
        self._upload_expiry_ms = upload_expiry_ms
        self._steps = steps

    def wanted(self) -> bool:
        """Tell, by reading alone, whether a run would find anything to look at."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            due = connection.execute(_ANY_DUE, {"now": now, "silent": now - self._upload_expiry_ms}).first()
        return due is not None

    def run(self, progress: Callable[[int], object] = int, stopping: Callable[[], bool] = bool) -> Collected:
        """Look at all that is due, and at what falls due by that; ``progress`` hears how much was looked at.

        Raises :class:`~registry.errors.Unavailable` where the database fails; what was committed stays done.
        """
        done = Collected()
        while not stopping():
            batch = self._database.write(self._collect)
            self._steps(Step.COMMITTED)
            done.looked_at += batch.looked_at
            done.freed.add(batch.freed)
            progress(done.looked_at)
            if not batch.looked_at:
                break
        while not stopping() and (dropped := self._database.write(self._drop_uploads)).uploads:
            done.freed.add(dropped)
        return done

    def preview(self, limit: int) -> Collected:
        """Return what a run would remove now, from at most ``limit`` reviews, and change nothing.

        It is found out by doing it in a transaction that is rolled back.
        """
        done = Collected()

        def rehearse(connection: Connection) -> None:
            done.__init__()  # type: ignore[misc] # the transaction may be run again
            while done.looked_at < limit:
                batch = self._collect(connection, min(BATCH, limit - done.looked_at), listed=True)
                done.looked_at += batch.looked_at
                done.freed.add(batch.freed)
                done.removed += batch.removed
                if not batch.looked_at:
                    break
            done.more = bool(connection.execute(_DUE, {"now": self._database.now(connection), "limit": 1}).first())
            done.freed.add(self._drop_uploads(connection))
            raise _Undo

        with suppress(_Undo):
            self._database.write(rehearse)
        return done

    def _collect(self, connection: Connection, limit: int = BATCH, *, listed: bool = False) -> Collected:
        now = self._database.now(connection)
        reviews = [Review._make(row) for row in connection.execute(_DUE, {"now": now, "limit": limit})]
        self._steps(Step.CLAIMED)
        done = Collected(looked_at=len(reviews))
        for review in reviews:
            name = self._name(connection, review) if listed else ""
            freed = self._look_at(connection, now, review)
            done.freed.add(freed)
            if listed and freed != Freed():
                done.removed.append(Removed(review.kind, name, review.repository_id, freed.bytes))
        self._steps(Step.REMOVED)
        return done

    def _look_at(self, connection: Connection, now: int, review: Review) -> Freed:
        where = place(connection, review.repository_id, self._window_ms)
        if where is None:
            self._drop(connection, review)
            return Freed()
        match review.kind:
            case work.MANIFEST:
                return self._manifest(connection, now, review, where)
            case work.BLOB:
                return self._membership(connection, now, review)
            case _:
                return self._repository(connection, now, review, where)

    def _manifest(self, connection: Connection, now: int, review: Review, where: Place) -> Freed:
        walk = Walk(connection, where, now)
        until = walk.until(review.target, lock=True)
        self._steps(Step.DECIDED)
        if until is None or until > now:
            self._postpone(connection, review, until)
            return Freed()
        self._drop(connection, review)
        return self._removal.manifests(connection, now, review.repository_id, walk.visited)

    def _membership(self, connection: Connection, now: int, review: Review) -> Freed:
        key = {"repository": review.repository_id, "blob": review.target}
        lock_membership(connection, review.repository_id, review.target)
        row = connection.execute(MEMBERSHIP, key).first()
        self._steps(Step.DECIDED)
        if row is None or row.named:
            self._drop(connection, review)
            return Freed()
        if row.lease_until > now:
            self._postpone(connection, review, row.lease_until)
            return Freed()
        self._drop(connection, review)
        return self._removal.membership(connection, now, review.repository_id, review.target)

    def _repository(self, connection: Connection, now: int, review: Review, where: Place) -> Freed:
        until = FOR_EVER if where.deleted_at is None else where.deleted_at + where.window_ms
        self._steps(Step.DECIDED)
        if until > now:
            self._postpone(connection, review, until)
            return Freed()
        freed, gone = self._removal.repository(connection, now, review.repository_id, _PIECE)
        if gone:
            self._drop(connection, review)
        return freed

    def _postpone(self, connection: Connection, review: Review, until: int | None) -> None:
        """Look again when the last known root ends; one without an end makes a new review when it ends."""
        if until is None or until >= FOR_EVER:
            self._drop(connection, review)
        else:
            connection.execute(_MOVE, {"b_id": review.id, "b_due": until})

    def _drop(self, connection: Connection, review: Review) -> None:
        connection.execute(_DROP, {"b_id": review.id})

    def _drop_uploads(self, connection: Connection) -> Freed:
        now = self._database.now(connection)
        freed = self._removal.uploads(connection, now, now - self._upload_expiry_ms, _PIECE)
        self._steps(Step.UPLOADS)
        return freed

    @staticmethod
    def _name(connection: Connection, review: Review) -> str:
        return str(connection.scalar(_DIGEST[review.kind], {"target": review.target}) or "")
