"""Whether this process may write: it follows the switch by which an operator makes the whole registry read-only.

A process that has not looked at the switch for two seconds looks before it writes, and again before it commits. So
two seconds after the switch was put on, no transaction is committed anywhere any more but those that were about to
be, whatever became of the threads that follow it; and a registry that is not switched pays nothing for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from sqlalchemy import Connection, select, text

from registry.db.base import table
from registry.db.models.operations import ReadOnlySwitch
from registry.errors import ReadOnly

_log = logging.getLogger(__name__)
FRESH_SECONDS = 2.0
_RETRY_SECONDS = 30
_FIND = select(table(ReadOnlySwitch))
_WRITERS = text(
    "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = pg_locks.relation"
    " JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE datname = current_database() AND mode = 'RowExclusiveLock' AND relkind = 'r'"
    " AND relnamespace <> 'pg_catalog'::regnamespace"
)


@dataclass(frozen=True, slots=True)
class Closed:
    """Why nothing is written, who decided it, and since when (milliseconds)."""

    reason: str
    actor: str
    since_ms: int
    revision: int


@dataclass(frozen=True, slots=True)
class _Look:
    """What the switch was at ``asked``; ``known`` is when this process first saw that. Both by the monotonic clock."""

    asked: float
    known: float
    closed: Closed | None


class Gate:
    """Lets transactions of this process through, or refuses them."""

    def __init__(self, read: Callable[[], AbstractContextManager[Connection]]) -> None:
        """Look at the switch by connections that ``read`` lends."""
        self._read = read
        self._last = _Look(float("-inf"), 0.0, None)

    def require(self, connection: Connection | None = None) -> None:
        """Raise :class:`ReadOnly` where nothing may be written; ``connection`` is that of a transaction to commit."""
        if (closed := self.closed(connection)) is not None:
            told = {"reason": closed.reason, "by": closed.actor}
            message = f"the registry is read-only: {closed.reason} (switched by {closed.actor})"
            raise ReadOnly(message, detail=told, retry_after=_RETRY_SECONDS)

    def closed(self, connection: Connection | None = None) -> Closed | None:
        """Return why nothing may be written, or None; this process has looked lately, or does it now."""
        if time.monotonic() - self._last.asked > FRESH_SECONDS:
            self.look(connection)
        return self._last.closed

    def look(self, connection: Connection | None = None) -> None:
        """Look at the switch; raises :class:`~registry.errors.Unavailable`."""
        asked = time.monotonic()
        with self._read() if connection is None else nullcontext(connection) as lent:
            row = lent.execute(_FIND).first()
        closed = Closed(row.reason, row.actor, row.since_ms, row.revision) if row is not None and row.is_on else None
        before = self._last
        self._last = _Look(asked, before.known if closed == before.closed else time.monotonic(), closed)
        if closed is not None and before.closed is None:
            _log.info("the registry is read-only: %s (switched by %s)", closed.reason, closed.actor)
        elif closed is None and before.closed is not None:
            _log.info("the registry takes writes again")

    def followed(self) -> bool:
        """Tell whether every process must have seen by now that the registry is read-only."""
        last = self._last
        return last.closed is not None and time.monotonic() - last.known > FRESH_SECONDS


def writers(connection: Connection) -> int:
    """Return how many tables transactions under way have written to, in all sessions of a PostgreSQL database."""
    return int(connection.execute(_WRITERS).scalar_one())
