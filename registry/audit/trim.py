"""Removing records that are old: first the chain says what goes, then it goes."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, bindparam, delete, func, select

from registry.audit.chain import REMOVED, Head, shown_time
from registry.audit.entries import ALLOWED, Entry, encode
from registry.audit.sealing import append, held_head
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AuditRecord

_BY = "job:audit"
_BATCH = 500
_RECORD = table(AuditRecord)
_LAST_OLD = select(func.max(_RECORD.c.position)).where(_RECORD.c.time_ms < bindparam("before"))
_FIRST_KEPT = select(func.min(_RECORD.c.position)).where(
    _RECORD.c.position <= bindparam("last"),
    _RECORD.c.time_ms + 0 >= bindparam("before"),  # not by the index of times, which would read all that is kept
)
_BEFORE = (
    select(_RECORD.c.position, _RECORD.c.hash)
    .where(_RECORD.c.position < bindparam("first"))
    .order_by(_RECORD.c.position.desc())
    .limit(1)
)
_LAST_SAID = select(_RECORD.c.reference).where(_RECORD.c.kind == REMOVED).order_by(_RECORD.c.position.desc()).limit(1)
_OLD = select(_RECORD.c.position).where(_RECORD.c.position <= bindparam("last")).order_by(_RECORD.c.position)
_REMOVE = delete(_RECORD).where(_RECORD.c.position.in_(_OLD.limit(_BATCH)))


class AuditTrim:
    """Removes records that are older than they are to be kept."""

    def __init__(self, database: Database, kept_ms: int) -> None:
        """Keep records for ``kept_ms`` milliseconds."""
        self._database = database
        self._kept_ms = kept_ms

    def run(self, progress: Callable[[int], object] = int, stopping: Callable[[], bool] = bool) -> int:
        """Remove what is old, in small transactions, and return how many records that were."""
        last = self._database.write(self._say)
        removed = 0

        def step(connection: Connection) -> int:
            return connection.execute(_REMOVE, {"last": last}).rowcount

        while last and not stopping() and (some := self._database.write(step, durable=False)):
            removed += some
            progress(removed)
        return removed

    def _say(self, connection: Connection) -> int:
        """Let the chain say up to which position records go, and by which hash it goes on; returns that position.

        A record that is to be kept keeps those behind it: times go up with positions only nearly.
        """
        head, events = held_head(self._database, connection)
        now = self._database.now(connection)
        before = now - self._kept_ms
        last = int(connection.execute(_LAST_OLD, {"before": before}).scalar() or 0)
        first = connection.execute(_FIRST_KEPT, {"before": before, "last": last}).scalar()
        row = connection.execute(_BEFORE, {"first": last + 1 if first is None else first}).first()
        said = int(connection.execute(_LAST_SAID).scalar() or 0)
        if row is None or row.position <= said:
            return said
        append(connection, head, [_removal(now, Head(row.position, row.hash), before)], events)
        return int(row.position)


def _removal(now: int, last: Head, before: int) -> Entry:
    detail = {"position": last.position, "hash": last.hash, "before": shown_time(before)}
    return Entry(now, REMOVED, ALLOWED, _BY, "", "", "", str(last.position), "", "", "", 1, encode(detail))
