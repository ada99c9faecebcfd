"""Tags whose end has come: dead without anybody's doing, and told of once."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, bindparam, select

from registry.db.engine import Database
from registry.db.models import Repository, Tag
from registry.repositories.tag_events import TagEvents

_AT_ONCE = 200
_LAPSED = (
    select(Tag.id, Tag.repository_id, Tag.name, Tag.digest, Tag.lifetime_end_ms)
    .join(Repository, Repository.id == Tag.repository_id)
    # What lapses in a deleted repository is told once that is put back.
    .where(Tag.lifetime_end_ms <= bindparam("now"), Tag.end_reason.is_(None), Repository.current == 1)
    .order_by(Tag.lifetime_end_ms, Tag.id)
    .limit(bindparam("limit"))
)
_LOCKED = _LAPSED.with_for_update(of=Tag, skip_locked=True)


class Lapses:
    """Tells of tags that lapsed; a name that is used again tells of the one before by itself."""

    def __init__(self, database: Database, events: TagEvents) -> None:
        """Write to ``events``."""
        self._database = database
        self._events = events

    def wanted(self) -> bool:
        """Tell whether a tag has lapsed that nobody told of; reads one row of an index."""
        with self._database.read() as connection:
            values = {"now": self._database.now(connection), "limit": 1}
            return connection.execute(_LAPSED, values).first() is not None

    def run(self, progress: Callable[[int], object] = int, stopping: Callable[[], bool] = bool) -> int:
        """Tell of all of them, in small transactions, and return how many those were."""
        told = 0
        while not stopping() and (some := self._database.write(self._tell)):
            told += some
            progress(told)
        return told

    def _tell(self, connection: Connection) -> int:
        now = self._database.now(connection)
        rows = connection.execute(_LOCKED, {"now": now, "limit": _AT_ONCE}).all()
        return sum(
            self._events.lapsed(connection, now, row.repository_id, row.id, row.name, row.digest, row.lifetime_end_ms)
            for row in rows
        )
