"""Sealing: entries that wait, and events of the outbox, become records of the chain, in one transaction.

Who seals holds the one row of the chain's end; a crash leaves everything as it was, to be sealed by the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from operator import attrgetter

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, literal, or_, select, update

from registry.audit.chain import START, Head
from registry.audit.entries import Entry
from registry.audit.of_events import entry_of_event
from registry.audit.records import entry_of, sealed
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AuditEntry, AuditRecord, AuditState
from registry.db.models import Outbox as OutboxRow

SEALED_AT_ONCE = 1000
"""So many entries, and as many events, at most become records in one transaction."""
_ENTRY, _RECORD, _STATE, _OUTBOX = table(AuditEntry), table(AuditRecord), table(AuditState), table(OutboxRow)
_LOCK = select(_STATE.c.position, _STATE.c.hash, _STATE.c.events).with_for_update()
_KEEP = update(_STATE).values(position=bindparam("b_position"), hash=bindparam("b_hash"), events=bindparam("b_events"))
_EVENTS = (
    select(_OUTBOX).where(_OUTBOX.c.position > bindparam("after")).order_by(_OUTBOX.c.position).limit(SEALED_AT_ONCE)
)
_WAITING = select(_ENTRY).order_by(_ENTRY.c.id).limit(SEALED_AT_ONCE)
_SEALED = delete(_ENTRY).where(_ENTRY.c.id == bindparam("b_id"))
_SEALED_EVENTS = func.coalesce(select(_STATE.c.events).scalar_subquery(), 0)
_ANY = select(literal(1)).where(
    or_(exists().where(_ENTRY.c.id.is_not(None)), exists().where(_OUTBOX.c.position > _SEALED_EVENTS))
)
_INSERT = insert(_RECORD)


class Sealer:
    """Makes records of what waits."""

    def __init__(self, database: Database) -> None:
        """Work on ``database``."""
        self._database = database

    def waits(self) -> bool:
        """Tell whether anything is to be sealed."""
        with self._database.read() as connection:
            return connection.execute(_ANY).first() is not None

    def seal(self, connection: Connection) -> bool:
        """Seal the oldest of what waits, in the caller's transaction; returns whether there may be more."""
        head, last = held_head(self._database, connection)
        waiting = connection.execute(_WAITING).all()
        events = connection.execute(_EVENTS, {"after": last}).all()
        told = [entry for event in events if (entry := entry_of_event(event)) is not None]
        entries = sorted([*map(entry_of, waiting), *told], key=attrgetter("time_ms"))
        append(connection, head, entries, events[-1].position if events else last)
        if waiting:
            connection.execute(_SEALED, [{"b_id": row.id} for row in waiting])
        return len(waiting) == SEALED_AT_ONCE or len(events) == SEALED_AT_ONCE


def held_head(database: Database, connection: Connection) -> tuple[Head, int]:
    """Return the end of the chain and how far events are in it, held until the caller's transaction ends."""
    connection.execute(database.insert_ignore(AuditState).values(id=1, position=0, hash=START, events=0))
    state = connection.execute(_LOCK).one()
    return Head(state.position, state.hash), state.events


def append(connection: Connection, head: Head, entries: Sequence[Entry], events: int) -> None:
    """Put records behind ``head``, which the caller's transaction holds; ``events`` is how far these are sealed."""
    rows = []
    for entry in entries:
        record = sealed(entry, head.position + 1, head.hash)
        head = Head(record.position, record.hash)
        rows.append({**asdict(entry), "position": record.position, "previous": record.previous, "hash": record.hash})
    if rows:
        connection.execute(_INSERT, rows)
    connection.execute(_KEEP, {"b_position": head.position, "b_hash": head.hash, "b_events": events})
