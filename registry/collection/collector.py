"""The online collector: looks at what is due for review, and removes what nothing keeps.

Several collectors may run at once, in any number of processes. Each batch is one transaction: reviews are claimed,
each candidate is locked, its roots and leases are looked up under the lock, and only then it goes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, union_all, update
from sqlalchemy.exc import DBAPIError

from registry.batches import batched
from registry.collection.removal import MEMBERSHIP, Freed, Removal, lock_membership
from registry.collection.roots import FOR_EVER, Place, Walk, place
from registry.content.reviews import Reviews
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import GcReview, Upload, work
from registry.steps import Steps

_log = logging.getLogger(__name__)
BATCH = 50
_PIECE = 200
"""How many rows of a deleted repository go in one transaction."""
_AT_ONCE = 100
"""How many manifests go in one statement: PostgreSQL takes 65,535 parameters, and each may have 127 v1 images."""
_REHEARSAL_SECONDS = 1.0
"""A preview holds the locks that a run takes batch by batch, so that pushes wait for it."""
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
    """What a run did: how many reviews it looked at, what went, and whether more was due.

    ``failed`` of the reviews were put off, as the database refused what they asked for.
    """

    looked_at: int = 0
    failed: int = 0
    freed: Freed = field(default_factory=Freed)
    removed: list[Removed] = field(default_factory=list)
    more: bool = False

    def add(self, other: Collected) -> None:
        """Count what ``other`` did."""
        self.looked_at += other.looked_at
        self.failed += other.failed
        self.freed.add(other.freed)
        self.removed += other.removed


class _Undo(Exception):
    """Rolls a preview back."""


class Collector:
    """Works the queue of reviews."""

    def __init__(
        self,
        database: Database,
        removal: Removal,
        reviews: Reviews,
        *,
        window_ms: int,
        upload_expiry_ms: int,
        steps: Steps,
    ) -> None:
        """Keep what ended for ``window_ms``, unless its repository says otherwise; tell ``steps`` of each step."""
        self._database = database
        self._removal = removal
        self._reviews = reviews
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

        A review that the database refuses to carry out is put off, and the others are gone on with. Raises
        :class:`~registry.errors.Unavailable` where the database fails; what was committed stays done.
        """
        done = Collected()
        while not stopping():
            batch = self._batch()
            self._steps(Step.COMMITTED)
            done.looked_at += batch.looked_at
            done.failed += batch.failed
            done.freed.add(batch.freed)
            progress(done.looked_at)
            if not batch.looked_at:
                break
        while not stopping() and (dropped := self._database.write(self._drop_uploads)).uploads:
            done.freed.add(dropped)
        return done

    def preview(self, limit: int) -> Collected:
        """Return what a run would remove now, from at most ``limit`` reviews, and change nothing.

        It is found out by doing it in a transaction that is rolled back, for about a second at most.
        """
        done = Collected()

        def rehearse(connection: Connection) -> None:
            done.__init__()  # type: ignore[misc] # the transaction may be run again
            give_up = time.monotonic() + _REHEARSAL_SECONDS
            while done.looked_at < limit and time.monotonic() < give_up:
                batch = self._collect(connection, min(BATCH, limit - done.looked_at))
                done.add(batch)
                if not batch.looked_at:
                    break
            done.more = bool(connection.execute(_DUE, {"now": self._database.now(connection), "limit": 1}).first())
            while (dropped := self._drop_uploads(connection)).uploads:
                done.freed.add(dropped)
            raise _Undo

        with suppress(_Undo):
            self._database.write(rehearse)
        return done

    def _batch(self) -> Collected:
        """Look at the next reviews together, or where the database refuses one of them, one by one."""
        try:
            return self._database.write(self._collect)
        except DBAPIError as error:
            _log.warning("one of a batch of reviews cannot be carried out: %s", error.orig)
        done = Collected()
        for _ in range(BATCH):
            one = self._one()
            done.add(one)
            if not one.looked_at:
                break
        return done

    def _one(self) -> Collected:
        """Look at the next review, or put it off for a grace time."""
        claimed: list[Review] = []
        try:
            return self._database.write(partial(self._collect, limit=1, claimed=claimed))
        except DBAPIError:
            if not claimed:
                raise
            (review,) = claimed
            _log.exception("%s is put off: it cannot be carried out", review)

        def put_off(connection: Connection) -> Collected:
            self._postpone(connection, review, self._database.now(connection) + self._reviews.grace_ms)
            return Collected(looked_at=1, failed=1)

        return self._database.write(put_off)

    def _collect(self, connection: Connection, limit: int = BATCH, claimed: list[Review] | None = None) -> Collected:
        now = self._database.now(connection)
        reviews = [Review._make(row) for row in connection.execute(_DUE, {"now": now, "limit": limit})]
        if claimed is not None:
            claimed[:] = reviews  # the transaction may be run again
        self._steps(Step.CLAIMED)
        done = Collected(looked_at=len(reviews))
        for review in reviews:
            done.add(self._look_at(connection, now, review))
        self._steps(Step.REMOVED)
        return done

    def _look_at(self, connection: Connection, now: int, review: Review) -> Collected:
        where = place(connection, review.repository_id, self._window_ms)
        if where is not None and where.deleted_at is not None:  # somebody may just be putting it back
            where = place(connection, review.repository_id, self._window_ms, lock=True)
        if where is None:
            self._drop(connection, review)
            return Collected()
        match review.kind:
            case work.MANIFEST:
                return self._manifest(connection, now, review, where)
            case work.BLOB:
                return self._membership(connection, now, review)
            case _:
                return self._repository(connection, now, review, where)

    def _manifest(self, connection: Connection, now: int, review: Review, where: Place) -> Collected:
        walk = Walk(connection, where, now)
        until = walk.until(review.target, lock=True)
        if until is not None and until <= now:
            until = self._reviews.last_turn(connection, now, review.repository_id, walk.visited)
        self._steps(Step.DECIDED)
        if until is None or until > now:
            self._postpone(connection, review, until)
            return Collected()
        self._drop(connection, review)
        done = Collected()
        for ids in batched(walk.visited, _AT_ONCE):
            done.freed.add(self._removal.manifests(connection, now, review.repository_id, ids))
            done.removed += [Removed(review.kind, walk.digest(one), review.repository_id, 0) for one in ids]
        return done

    def _membership(self, connection: Connection, now: int, review: Review) -> Collected:
        key = {"repository": review.repository_id, "blob": review.target}
        lock_membership(connection, review.repository_id, review.target)
        row = connection.execute(MEMBERSHIP, key).first()
        self._steps(Step.DECIDED)
        if row is None or row.named:
            self._drop(connection, review)
            return Collected()
        if row.lease_until > now:
            self._postpone(connection, review, row.lease_until)
            return Collected()
        self._drop(connection, review)
        freed = self._removal.membership(connection, now, review.repository_id, review.target)
        return Collected(freed=freed, removed=[Removed(review.kind, row.digest, review.repository_id, freed.bytes)])

    def _repository(self, connection: Connection, now: int, review: Review, where: Place) -> Collected:
        until = FOR_EVER if where.deleted_at is None else where.deleted_at + where.window_ms
        self._steps(Step.DECIDED)
        if until > now:
            self._postpone(connection, review, until)
            return Collected()
        freed, gone = self._removal.repository(connection, now, review.repository_id, _PIECE)
        if gone:
            self._drop(connection, review)
        return Collected(freed=freed, removed=[Removed(review.kind, where.name, review.repository_id, freed.bytes)])

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
