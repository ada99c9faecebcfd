"""The log of events: after the commit each gets a position, and from then on they are read in that order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, func, or_, select, update

from registry.access.visible import Narrowing
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import EventConsumer
from registry.db.models import Outbox as OutboxRow
from registry.hooks.events import Event

LoggedEvent: TypeAlias = Event
"""What the log holds, for those who do not speak to plugins."""
NOBODY = ""
"""The consumer whose position is the last one that was given."""
PLACED_AT_ONCE = 1000
"""So many events at most get their positions in one transaction."""
_OUTBOX, _CONSUMER = table(OutboxRow), table(EventConsumer)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = tuple(
    _OUTBOX.c[name] for name in ("event_id", "position", "type", "time_ms", "repository", "subject", "actor", "data")
)
_WAITING = select(_OUTBOX.c.id).where(_OUTBOX.c.position.is_(None)).limit(1)
_HEAD = select(_CONSUMER.c.position).where(_CONSUMER.c.name == NOBODY)
_LOCK_HEAD = _HEAD.with_for_update()
_RANKED = (
    select(_OUTBOX.c.id, func.row_number().over(order_by=_OUTBOX.c.id).label("rank"))
    .where(_OUTBOX.c.position.is_(None))
    .order_by(_OUTBOX.c.id)
    .limit(PLACED_AT_ONCE)
    .subquery("ranked")
)
_PLACE = update(_OUTBOX).values(position=bindparam("b_head") + _RANKED.c.rank).where(_OUTBOX.c.id == _RANKED.c.id)
_MOVE_HEAD = update(_CONSUMER).where(_CONSUMER.c.name == NOBODY).values(position=bindparam("b_head"))
_PAGE = select(*_COLUMNS).order_by(_OUTBOX.c.position).limit(bindparam("limit"))
_AFTER = _PAGE.where(_OUTBOX.c.position > bindparam("after"))
_OF_REPOSITORY = _PAGE.where(
    _OUTBOX.c.repository == bindparam("repository"),
    _OUTBOX.c.position >= bindparam("first"),
    _OUTBOX.c.position <= bindparam("last"),
)
_AT = select(*_COLUMNS).where(_OUTBOX.c.position == bindparam("position"))
_FIRST_SINCE = select(func.min(_OUTBOX.c.position)).where(
    _OUTBOX.c.time_ms >= bindparam("since"), _OUTBOX.c.position.is_not(None)
)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: of one repository, of some types (a prefix that ends in a dot, too), from a time on."""

    repository: str | None = None
    types: tuple[str, ...] = ()
    since_ms: int | None = None


class EventLog:
    """Gives events their positions, and reads them."""

    def __init__(self, database: Database) -> None:
        """Read and write ``database``."""
        self._database = database
        self._waiting = database.prepare(_WAITING)
        self._head = database.prepare(_HEAD)

    def waits(self) -> bool:
        """Tell whether an event has no position yet; cheap enough to be asked all the time."""
        with self._database.read() as connection:
            return self._waiting(connection, {}) is not None

    def place(self, connection: Connection) -> int:
        """Give the oldest events without a position theirs, in the caller's transaction; returns how many that were.

        Within a repository ids are in the order of what happened: who changes the same thing waits for the one before.
        """
        connection.execute(self._database.insert_ignore(EventConsumer).values(name=NOBODY, position=0))
        head = connection.execute(_LOCK_HEAD).scalar_one()
        placed = connection.execute(_PLACE, {"b_head": head}).rowcount
        connection.execute(_MOVE_HEAD, {"b_head": head + placed})
        return placed

    def head(self, connection: Connection) -> int:
        """Return the last position that was given; 0 before the first."""
        row = self._head(connection, {})
        return 0 if row is None else int(row[0])

    def after(
        self,
        connection: Connection,
        position: int,
        limit: int,
        wanted: EventFilter | None = None,
        narrowing: Narrowing | None = None,
    ) -> Sequence[Event]:
        """Return at most ``limit`` events behind a position, in order."""
        statement = _AFTER if wanted is None else _filtered(wanted)
        values: dict[str, object] = {"after": position, "limit": limit}
        if narrowing is not None:
            statement = statement.where(narrowing.condition(self._database, _OUTBOX.c.repository))
            values |= narrowing.values(self._database)
        return [_event(row) for row in connection.execute(statement, values)]

    def of_repository(
        self, connection: Connection, repository: str, first: int, last: int, limit: int
    ) -> Sequence[Event]:
        """Return at most ``limit`` events of a repository between two positions, both included."""
        values = {"repository": repository, "first": first, "last": last, "limit": limit}
        return [_event(row) for row in connection.execute(_OF_REPOSITORY, values)]

    def at(self, connection: Connection, position: int) -> Event | None:
        """Return the event at a position, or None once it was forgotten."""
        row = connection.execute(_AT, {"position": position}).first()
        return None if row is None else _event(row)

    def before(self, connection: Connection, since_ms: int) -> int:
        """Return the position behind which all events since a time (milliseconds) are."""
        first = connection.execute(_FIRST_SINCE, {"since": since_ms}).scalar()
        return self.head(connection) if first is None else int(first) - 1


def _filtered(wanted: EventFilter) -> Select[Any]:
    statement: Select[Any] = _AFTER
    if wanted.repository is not None:
        statement = statement.where(_OUTBOX.c.repository == wanted.repository)
    if wanted.since_ms is not None:
        statement = statement.where(_OUTBOX.c.time_ms >= wanted.since_ms)
    return statement.where(named(_OUTBOX.c.type, wanted.types)) if wanted.types else statement


def named(column: ColumnElement[str], names: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that a column has one of the names, of which those that end in a dot are prefixes."""
    exact = [name for name in names if not name.endswith(".")]
    # All that starts with the prefix sorts before the prefix with its last dot made the next character.
    ranges = [(column > name) & (column < f"{name[:-1]}/") for name in names if name.endswith(".")]
    return or_(*([column.in_(exact)] if exact else []), *ranges)


def _event(row: Row[Any]) -> Event:
    time = _EPOCH + timedelta(milliseconds=row.time_ms)
    return Event(
        row.event_id, row.position, row.type, time, row.repository, row.subject, row.actor, json.loads(row.data)
    )
