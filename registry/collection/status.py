"""How collection stands: what waits to be looked at, and what is about to be freed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, case, func, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.collection.collector import Collected, Collector
from registry.db.engine import Database
from registry.db.models import Blob, GcReview, StorageDeletion

_DUE = func.sum(case((GcReview.due_ms <= bindparam("now"), 1), else_=0))
_QUEUE = (
    select(GcReview.kind, func.count(), _DUE, func.min(GcReview.due_ms)).group_by(GcReview.kind).order_by(GcReview.kind)
)
_DELETIONS = (
    select(func.count(), func.coalesce(func.sum(Blob.size), 0), func.coalesce(func.max(StorageDeletion.attempts), 0))
    .select_from(StorageDeletion)
    .outerjoin(Blob, Blob.id == StorageDeletion.blob_id)
)


@dataclass(frozen=True, slots=True)
class Queue:
    """Reviews of one kind: how many, how many are due now, and when the next one is (milliseconds)."""

    kind: str
    waiting: int
    due: int
    next_ms: int


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """The queue of reviews, and the keys and bytes that wait for their physical deletion.

    ``attempts`` is how often the most stubborn deletion has failed.
    """

    queue: Sequence[Queue]
    deletions: int
    bytes_to_free: int
    attempts: int


class StatusService:
    """Tells how collection stands."""

    def __init__(self, database: Database, authorizer: Authorizer, collector: Collector) -> None:
        """Read from ``database``, as far as ``authorizer`` allows; ``collector`` rehearses."""
        self._database = database
        self._authorizer = authorizer
        self._collector = collector

    def preview(self, actor: Actor, limit: int) -> Collected:
        """Return what a collection would free now, from at most ``limit`` reviews."""
        self._authorizer.require(actor, Action.ADMIN, None)
        return self._collector.preview(limit)

    def status(self, actor: Actor) -> CollectionStatus:
        """Return the queue and the deletions that are to come."""
        self._authorizer.require(actor, Action.ADMIN, None)
        with self._database.read() as connection:
            now = self._database.now(connection)
            queue = [Queue(*row) for row in connection.execute(_QUEUE, {"now": now})]
            count, size, attempts = connection.execute(_DELETIONS).one()
        return CollectionStatus(queue, count, int(size), attempts)
