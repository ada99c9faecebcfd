"""The log of events for those who ask: read, told again from a position or a time, and its dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, delete, func, select, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.access.visible import at_once, seen
from registry.audit.entries import write
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import EventConsumer, EventDelivery
from registry.db.models import Outbox as OutboxRow
from registry.errors import ConsumerUnknown, InputInvalid, LetterUnknown
from registry.events.log import NOBODY, EventFilter, EventLog
from registry.hooks.events import Event
from registry.names import RepositoryName
from registry.pages import Page, cut

_OUTBOX, _CONSUMER, _DELIVERY = table(OutboxRow), table(EventConsumer), table(EventDelivery)
_DEAD = func.coalesce(func.sum(case((_DELIVERY.c.dead_ms.is_not(None), 1), else_=0)), 0)
_CONSUMERS = (
    select(_CONSUMER.c.name, _CONSUMER.c.position, func.count(_DELIVERY.c.id), _DEAD)
    .outerjoin(_DELIVERY, _DELIVERY.c.consumer == _CONSUMER.c.name)
    .where(_CONSUMER.c.name != NOBODY)
    .group_by(_CONSUMER.c.name, _CONSUMER.c.position)
    .order_by(_CONSUMER.c.name)
)
_LOCK = select(_CONSUMER.c.position).where(_CONSUMER.c.name == bindparam("consumer")).with_for_update()
_SEND_BACK = (
    update(_CONSUMER).where(_CONSUMER.c.name == bindparam("b_consumer")).values(position=bindparam("b_position"))
)
_FORGET_LATER = delete(_DELIVERY).where(
    _DELIVERY.c.consumer == bindparam("b_consumer"), _DELIVERY.c.position > bindparam("b_position")
)
_LETTERS = (
    select(_DELIVERY)
    .where(_DELIVERY.c.dead_ms.is_not(None), _DELIVERY.c.id > bindparam("last"))
    .order_by(_DELIVERY.c.id)
    .limit(bindparam("limit"))
)
_LETTER = (_DELIVERY.c.id == bindparam("b_id")) & _DELIVERY.c.dead_ms.is_not(None)
_DROP = delete(_DELIVERY).where(_LETTER)
_AGAIN = update(_DELIVERY).where(_LETTER)


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer: its position, how many events are behind that, and how many repositories and letters wait."""

    name: str
    position: int
    behind: int
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: an event that a consumer did not take, after so many attempts; times are in milliseconds.

    ``event`` is None once it was forgotten.
    """

    id: int
    consumer: str
    position: int
    attempts: int
    first_ms: int
    dead_ms: int
    error: str
    event: Event | None


class EventService:
    """Reads the log, and changes what is told again."""

    def __init__(self, database: Database, authorizer: Authorizer, log: EventLog) -> None:
        """Read ``log``, as far as ``authorizer`` allows."""
        self._database = database
        self._authorizer = authorizer
        self._log = log

    def list(self, actor: Actor, after: int, limit: int, wanted: EventFilter) -> Page[Event]:
        """Return at most ``limit`` events behind a position, in order, of what the actor may see."""
        self.require(actor, wanted)
        narrowing = at_once(self._authorizer.reach(actor, Action.LIST))
        found: Sequence[Event] = ()
        more = True
        while more and len(found) <= limit:
            with self._database.read() as connection:
                read = self._log.after(connection, after, limit + 1, wanted, narrowing)
            found = [*found, *self.seen(actor, read)]
            more = len(read) > limit
            after = read[-1].position if read else after
        return cut(found, limit)

    def seen(self, actor: Actor, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events of repositories that the actor may see."""
        return seen(self._authorizer, actor, events, lambda event: event.repository)

    def require(self, actor: Actor, wanted: EventFilter) -> None:
        """Raise :class:`~registry.errors.Denied` where the actor may not hear of such events."""
        name = None if wanted.repository is None else RepositoryName.parse(wanted.repository)
        self._authorizer.require(actor, Action.LIST, name)

    def newest(self) -> int:
        """Return the last position that was given."""
        with self._database.read() as connection:
            return self._log.head(connection)

    def consumers(self, actor: Actor) -> Sequence[Consumer]:
        """Return all consumers, by name."""
        self._authorizer.require(actor, Action.ADMIN, None)
        with self._database.read() as connection:
            head = self._log.head(connection)
            rows = connection.execute(_CONSUMERS).all()
        return [
            Consumer(name, position, head - position, count - int(dead), int(dead))
            for name, position, count, dead in rows
        ]

    def replay(self, actor: Actor, consumer: str, *, after: int | None = None, since_ms: int | None = None) -> int:
        """Send a consumer back to a position, or to before all events since a time; returns the position.

        It is told everything behind it once more, in order; what waited, or was dead, behind it is part of that.
        Raises :class:`ConsumerUnknown`, and :class:`InputInvalid` for a position that it has not come to yet.
        """
        self._authorizer.require(actor, Action.ADMIN, None, consumer)
        if (after is None) == (since_ms is None):
            raise InputInvalid("name a position or a time, and one of them alone", detail={"consumer": consumer})

        def work(connection: Connection) -> int:
            present = connection.execute(_LOCK, {"consumer": consumer}).scalar() if consumer else None
            if present is None:
                raise ConsumerUnknown(detail={"consumer": consumer[:255]})
            position = after if since_ms is None else min(self._log.before(connection, since_ms), present)
            if position is None or position > present:
                raise InputInvalid(
                    "it has not come to this position yet", detail={"position": position, "present": present}
                )
            values = {"b_consumer": consumer, "b_position": position}
            connection.execute(_SEND_BACK, values)
            connection.execute(_FORGET_LATER, values)
            write(self._database, connection, actor, "events.replayed", consumer, {"from": position})
            return position

        return self._database.write(work)

    def letters(self, actor: Actor, consumer: str | None, limit: int, last: int) -> Page[Letter]:
        """Return at most ``limit`` dead letters after the id ``last``, of one consumer if that is given."""
        self._authorizer.require(actor, Action.ADMIN, None)
        statement = _LETTERS if consumer is None else _LETTERS.where(_DELIVERY.c.consumer == consumer)
        with self._database.read() as connection:
            rows = connection.execute(statement, {"last": last, "limit": limit + 1}).all()
            return cut([self._letter(connection, row) for row in rows], limit)

    def redeliver(self, actor: Actor, letter: int) -> None:
        """Let a dead letter be told again, by itself, at once; raises :class:`LetterUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, str(letter))

        def work(connection: Connection) -> None:
            now = self._database.now(connection)
            fresh: Mapping[str, object] = {"alone": True, "attempts": 0, "first_ms": now, "due_ms": now}
            if connection.execute(_AGAIN.values(dead_ms=None, **fresh), {"b_id": letter}).rowcount != 1:
                raise LetterUnknown(detail={"letter": letter})
            write(self._database, connection, actor, "letter.redelivered", str(letter))

        self._database.write(work)

    def drop(self, actor: Actor, letter: int) -> None:
        """Forget a dead letter; raises :class:`LetterUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, str(letter))

        def work(connection: Connection) -> None:
            if connection.execute(_DROP, {"b_id": letter}).rowcount != 1:
                raise LetterUnknown(detail={"letter": letter})
            write(self._database, connection, actor, "letter.dropped", str(letter))

        self._database.write(work)

    def _letter(self, connection: Connection, row: Row[Any]) -> Letter:
        event = self._log.at(connection, row.position)
        return Letter(row.id, row.consumer, row.position, row.attempts, row.first_ms, row.dead_ms, row.error, event)
