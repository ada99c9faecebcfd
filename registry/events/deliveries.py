"""Telling one consumer: in order for each repository, again until it took an event, and not for ever.

What a consumer cannot take yet is one row for each repository that is behind; later events of that repository are
found in the log once it goes on. All others pass it by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import EventConsumer, EventDelivery
from registry.events.lease import Lease, LeaseLost
from registry.events.log import EventLog
from registry.events.observers import NOT_YET
from registry.events.retries import RetryTerms, Waiting
from registry.hooks.events import Event, NotYet

Tell = Callable[[str, Event], None]
_AT_ONCE = 200
_COMMIT_SECONDS = 0.5
_IN_A_ROW = 3
"""So many failures one after another, each of another repository, and the consumer as a whole is given a rest."""
_CONSUMER, _DELIVERY = table(EventConsumer), table(EventDelivery)
_POSITION = select(_CONSUMER.c.position).where(_CONSUMER.c.name == bindparam("consumer"))
_HELD_POSITION = _POSITION.with_for_update()
_WAITING = select(_DELIVERY).where(_DELIVERY.c.consumer == bindparam("consumer"), _DELIVERY.c.dead_ms.is_(None))
_DUE = _WAITING.where(_DELIVERY.c.due_ms <= bindparam("now")).order_by(_DELIVERY.c.due_ms, _DELIVERY.c.id)
_BEHIND = select(_DELIVERY.c.repository).where(
    _DELIVERY.c.consumer == bindparam("consumer"), _DELIVERY.c.dead_ms.is_(None), ~_DELIVERY.c.alone
)
_ADVANCE = (
    update(_CONSUMER)
    .where(_CONSUMER.c.name == bindparam("b_consumer"), _CONSUMER.c.position == bindparam("b_was"))
    .values(position=bindparam("b_position"))
)
_TAKE_UP = delete(_DELIVERY).where(_DELIVERY.c.id == bindparam("b_id"), _DELIVERY.c.dead_ms.is_(None))


@dataclass(slots=True)
class Round:
    """How a round goes: how many events were told, how many failures there were one after another.

    ``paused`` is set once the consumer says that it takes nothing for the time being.
    """

    told: int = 0
    failures: int = 0
    paused: bool = False

    @property
    def enough(self) -> bool:
        """Whether it looks as if nothing could be told now."""
        return self.paused or self.failures >= _IN_A_ROW


class Deliveries:
    """Tells consumers, whoever holds the lease."""

    def __init__(self, database: Database, log: EventLog, lease: Lease, tell: Tell, terms: RetryTerms) -> None:
        """Tell by ``tell``, which raises one of ``NOT_YET``; try again on ``terms``."""
        self._database = database
        self._log = log
        self._lease = lease
        self._tell = tell
        self._terms = terms

    def run(self, consumer: str, stopping: Callable[[], bool]) -> Round:
        """Tell a consumer all that is there, and what it could not take before and is due again."""
        going = Round()
        try:
            self._catch_up(consumer, going, stopping)
            while not going.enough and not stopping() and self._go_on(consumer, going, stopping):
                self._catch_up(consumer, going, stopping)
        except LeaseLost:
            pass  # who holds it goes on from what was committed
        return going

    def _catch_up(self, consumer: str, going: Round, stopping: Callable[[], bool]) -> None:
        """Tell again what is due."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            rows = connection.execute(_DUE.limit(_AT_ONCE), {"consumer": consumer, "now": now}).all()
        for row in rows:
            if going.enough or stopping():
                return
            waiting = Waiting(*(getattr(row, one.name) for one in fields(Waiting)))
            self._follow(consumer, row.id, waiting, going, stopping)

    def _follow(self, consumer: str, row_id: int, first: Waiting, going: Round, stopping: Callable[[], bool]) -> None:
        """Tell an event that waits, and those of its repository which wait behind it."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            position = connection.execute(_POSITION, {"consumer": consumer}).scalar()
            last = first.position if first.alone else position or 0
            events = self._log.of_repository(connection, first.repository, first.position, last, _AT_ONCE + 1)
        left: list[Waiting] = []
        done = 0
        give_up = time.monotonic() + _COMMIT_SECONDS
        for event in events[:_AT_ONCE]:
            error = self._told(consumer, event, going)
            if going.paused:
                break
            done += 1
            if error is not None:
                before = first if event.position == first.position else None
                left.append(self._terms.after_failure(event, error, now, before))
                if left[-1].dead_ms is None:
                    break
            if going.enough or stopping() or time.monotonic() > give_up:
                break
        if going.paused and done == 0:
            return  # it stays as it is
        waits = bool(left) and left[-1].dead_ms is None
        if not waits and done < len(events):
            # Its very position: at any other, it would take the place of what waits of another repository.
            behind = events[done].position
            left.append(Waiting(behind, first.repository, False, 0, now, now, None, ""))  # noqa: FBT003 - a row

        def work(connection: Connection) -> None:
            self._lease.require(connection)
            if self._takes_up(connection, consumer, position, row_id):
                self._keep(connection, consumer, left)

        self._database.write(work, durable=False)

    def _takes_up(self, connection: Connection, consumer: str, position: int | None, row_id: int) -> bool:
        """Take the row of what waited away, unless it is gone already, or its consumer was sent back meanwhile.

        All that is told from there on is told once more, in order: nothing may seem to wait further on.
        """
        if connection.execute(_HELD_POSITION, {"consumer": consumer}).scalar() != position:
            return False
        return connection.execute(_TAKE_UP, {"b_id": row_id}).rowcount == 1

    def _go_on(self, consumer: str, going: Round, stopping: Callable[[], bool]) -> bool:
        """Tell what is new; returns whether there may be more."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            position = connection.execute(_POSITION, {"consumer": consumer}).scalar()
            if position is None:
                return False
            behind = set(connection.scalars(_BEHIND, {"consumer": consumer}))
            events = self._log.after(connection, position, _AT_ONCE)
        failed: list[Waiting] = []
        reached = position
        give_up = time.monotonic() + _COMMIT_SECONDS
        for event in events:
            error = None if event.repository in behind else self._told(consumer, event, going)
            if going.paused:
                break
            reached = event.position
            if error is not None:
                failed.append(self._terms.after_failure(event, error, now, None))
                if failed[-1].dead_ms is None:
                    behind.add(event.repository)
            if going.enough or stopping() or time.monotonic() > give_up:
                break

        def work(connection: Connection) -> None:
            self._lease.require(connection)
            values = {"b_consumer": consumer, "b_was": position, "b_position": reached}
            # Where it is elsewhere, it was sent back meanwhile, and goes on from there.
            if connection.execute(_ADVANCE, values).rowcount == 1:
                self._keep(connection, consumer, failed)

        if events:
            self._database.write(work, durable=False)
        return bool(events)

    def _told(self, consumer: str, event: Event, going: Round) -> str | None:
        """Tell an event, and return why it was not taken, or None."""
        try:
            self._tell(consumer, event)
        except NOT_YET as error:
            going.paused = isinstance(error, NotYet) and error.paused
            going.failures += 1
            return str(error) or type(error).__name__
        going.failures = 0
        going.told += 1
        return None

    def _keep(self, connection: Connection, consumer: str, left: Sequence[Waiting]) -> None:
        for one in left:
            row: dict[str, Any] = {"consumer": consumer, **asdict(one)}
            statement = self._database.insert(EventDelivery).values(row)
            # A dead letter may be at this position, from before the consumer was sent back.
            connection.execute(statement.on_conflict_do_update(index_elements=["consumer", "position"], set_=row))
