"""Forgetting events that were told long ago."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, bindparam, delete, exists, func, not_, select

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AuditState, EventConsumer, EventDelivery
from registry.db.models import Outbox as OutboxRow
from registry.events.log import NOBODY
from registry.events.types import MANIFEST_PULLED

PULLS_KEPT_MS = 86_400_000
"""Pulls are many, and tell little a day later."""
PATIENCE = 2
"""For a consumer that is behind, events are kept so many times as long as otherwise, and no longer."""
_BATCH = 500
_OUTBOX, _CONSUMER, _DELIVERY = table(OutboxRow), table(EventConsumer), table(EventDelivery)
_SEALED = select(table(AuditState).c.events)
_LAST_TOLD = select(func.min(_CONSUMER.c.position)).where(_CONSUMER.c.name != NOBODY)
_FIRST_WAITING = select(func.min(_DELIVERY.c.position)).where(_DELIVERY.c.dead_ms.is_(None))
_ALL = 1 << 62
_OLD = (
    select(_OUTBOX.c.id)
    .where(_OUTBOX.c.position <= bindparam("last"), _OUTBOX.c.time_ms < bindparam("before"))
    .limit(_BATCH)
)
_FORGET = delete(_OUTBOX).where(_OUTBOX.c.id.in_(_OLD.order_by(_OUTBOX.c.time_ms)))
_FORGET_PULLS = delete(_OUTBOX).where(_OUTBOX.c.id.in_(_OLD.where(_OUTBOX.c.type == MANIFEST_PULLED.name)))
_FORGET_LETTERS = delete(_DELIVERY).where(
    _DELIVERY.c.dead_ms.is_not(None), not_(exists().where(_OUTBOX.c.position == _DELIVERY.c.position))
)


class OutboxTrim:
    """Removes events that are old, and that no consumer waits for any more, with the dead letters about them.

    What is not in the audit log yet stays, however old it is.
    """

    def __init__(self, database: Database, kept_ms: int) -> None:
        """Keep events for ``kept_ms`` milliseconds, and at most twice as long for a consumer that is behind."""
        self._database = database
        self._kept_ms = kept_ms

    def run(self, progress: Callable[[int], object] = int, stopping: Callable[[], bool] = bool) -> int:
        """Remove what is old, in small transactions, and return how many events that were."""
        removed = 0
        for step in (self._told, self._pulls, self._overdue):
            while not stopping() and (some := self._database.write(step, durable=False)):
                removed += some
                progress(removed)
        self._database.write(lambda connection: connection.execute(_FORGET_LETTERS), durable=False)
        return removed

    def _told(self, connection: Connection) -> int:
        values = {"last": self._last(connection), "before": self._database.now(connection) - self._kept_ms}
        return connection.execute(_FORGET, values).rowcount

    def _pulls(self, connection: Connection) -> int:
        before = self._database.now(connection) - min(PULLS_KEPT_MS, self._kept_ms)
        return connection.execute(_FORGET_PULLS, {"last": self._last(connection), "before": before}).rowcount

    def _overdue(self, connection: Connection) -> int:
        before = self._database.now(connection) - PATIENCE * self._kept_ms
        return connection.execute(_FORGET, {"last": self._sealed(connection), "before": before}).rowcount

    @staticmethod
    def _sealed(connection: Connection) -> int:
        """Return how far events are in the audit log, which waits for none of them to be forgotten."""
        return int(connection.execute(_SEALED).scalar() or 0)

    def _last(self, connection: Connection) -> int:
        """Return the last position that every consumer is through with, and the audit log is."""
        told, waiting = connection.scalar(_LAST_TOLD), connection.scalar(_FIRST_WAITING)
        sealed = self._sealed(connection)
        return min(sealed, _ALL if told is None else told, _ALL if waiting is None else waiting - 1)
