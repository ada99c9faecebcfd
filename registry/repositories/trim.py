"""Forgetting periods that ended long ago."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, bindparam, delete, select

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Tag

_BATCH = 500
_TAG = table(Tag)
_OLD = (
    select(_TAG.c.id)
    .where(_TAG.c.lifetime_end_ms < bindparam("before"), _TAG.c.manifest_id.is_(None))
    .order_by(_TAG.c.lifetime_end_ms)
    .limit(_BATCH)
)


class HistoryTrim:
    """Removes ended periods whose manifest is collected, once they are old enough."""

    def __init__(self, database: Database, kept_ms: int) -> None:
        """Keep periods for ``kept_ms`` milliseconds after their end; what can still be restored stays anyway."""
        self._database = database
        self._kept_ms = kept_ms

    def run(self, progress: Callable[[int], object] = int, stopping: Callable[[], bool] = bool) -> int:
        """Remove what is old, in small transactions, and return how many periods that were."""
        removed = 0
        while not stopping() and (gone := self._database.write(self._trim)):
            removed += gone
            progress(removed)
        return removed

    def _trim(self, connection: Connection) -> int:
        ids = connection.scalars(_OLD, {"before": self._database.now(connection) - self._kept_ms}).all()
        if ids:
            connection.execute(delete(_TAG).where(_TAG.c.id.in_(ids)))
        return len(ids)
