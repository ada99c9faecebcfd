"""Forgetting periods that ended long ago."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, bindparam, delete, func, select

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Repository, Tag

_BATCH = 500
_TAG = table(Tag)
_WINDOW_MS = func.coalesce(Repository.recovery_seconds * 1000, bindparam("window"))
_OLD = (
    select(_TAG.c.id, _TAG.c.lifetime_end_ms)
    .join(Repository, Repository.id == _TAG.c.repository_id)
    .where(
        _TAG.c.lifetime_end_ms >= bindparam("after"),
        _TAG.c.lifetime_end_ms < bindparam("before"),
        _TAG.c.lifetime_end_ms < bindparam("now") - _WINDOW_MS,
    )
    .order_by(_TAG.c.lifetime_end_ms)
    .limit(_BATCH)
)


class HistoryTrim:
    """Removes periods that ended long enough ago; none is removed inside its repository's recovery window.

    A period beyond the window keeps nothing from collection, so nothing is lost but what it tells.
    """

    def __init__(self, database: Database, kept_ms: int, window_ms: int) -> None:
        """Keep periods for ``kept_ms`` milliseconds after their end.

        ``window_ms`` is the recovery window of repositories that have none of their own.
        """
        self._database = database
        self._kept_ms = kept_ms
        self._window_ms = window_ms

    def run(self, progress: Callable[[int], object] = int, stopping: Callable[[], bool] = bool) -> int:
        """Remove what is old, in small transactions, and return how many periods that were."""
        removed, after = 0, 0
        while not stopping():
            gone, after = self._database.write(partial(self._trim, after=after))
            if not gone:
                break
            removed += gone
            progress(removed)
        return removed

    def _trim(self, connection: Connection, after: int) -> tuple[int, int]:
        """Remove some periods that ended at ``after`` or later; return how many, and when the last of them ended."""
        now = self._database.now(connection)
        values = {"after": after, "before": now - self._kept_ms, "now": now, "window": self._window_ms}
        rows = connection.execute(_OLD, values).all()
        if not rows:
            return 0, after
        connection.execute(delete(_TAG).where(_TAG.c.id.in_([row.id for row in rows])))
        return len(rows), rows[-1].lifetime_end_ms
