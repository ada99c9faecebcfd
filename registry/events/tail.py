"""The end of the log, as many listeners of one process follow it: one of them looks, and all know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from registry.db.engine import Database
from registry.errors import Unavailable
from registry.events.log import EventFilter, EventLog
from registry.hooks.events import Event

_LOOK_SECONDS = 0.2
_AT_ONCE = 500


class Tail:
    """Follows the log; a listener holds a connection to the database only while it reads some events."""

    def __init__(self, database: Database, log: EventLog, most: int) -> None:
        """Let at most ``most`` listeners follow at once: each keeps a thread."""
        self._database = database
        self._log = log
        self._most = most
        self._lock = threading.Lock()
        self._listeners = 0
        self._head, self._looked = 0, 0.0

    def follow(self, after: int, wanted: EventFilter, stopping: Callable[[], bool]) -> Iterator[Sequence[Event]]:
        """Return the events behind a position as they come, and nothing (an empty sequence) while none do.

        Ends once ``stopping``. Raises :class:`Unavailable` at once where as many follow already as may.
        """
        with self._lock:
            if self._listeners >= self._most:
                raise Unavailable("too many follow the events already", detail={"most": self._most})
            self._listeners += 1
        following = self._following(after, wanted, stopping)
        next(following)  # what has begun is ended by whoever drops it
        return following

    def _following(self, after: int, wanted: EventFilter, stopping: Callable[[], bool]) -> Iterator[Sequence[Event]]:
        try:
            yield ()
            while not stopping():
                head = self._newest()
                if head <= after:
                    time.sleep(_LOOK_SECONDS)
                    yield ()
                    continue
                with self._database.read() as connection:
                    found = self._log.after(connection, after, _AT_ONCE, wanted)
                # Others that the filter leaves out were read over up to what was the newest before.
                after = found[-1].position if len(found) == _AT_ONCE else max([head, *(one.position for one in found)])
                yield found
        finally:
            with self._lock:
                self._listeners -= 1

    def _newest(self) -> int:
        with self._lock:
            if time.monotonic() - self._looked >= _LOOK_SECONDS:
                with self._database.read() as connection:
                    self._head = self._log.head(connection)
                self._looked = time.monotonic()
            return self._head
