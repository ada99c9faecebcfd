"""What is kept of deliveries: the log of each subscription, what waits for another attempt, and what is dead.

Keys of the store: ``log/NAME/TIME-ID``, ``dead/NAME/POSITION-ID`` and ``waiting/NAME/ID``, where ``NAME`` is the
subscription's, and numbers have leading zeros, so that the order of keys is that of time.
"""

from __future__ import annotations

import secrets
import time
import zlib
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from registry.hooks import PluginContext

_TRIM_EVERY = 16
_Document = dict[str, Any]


class Journal:
    """The deliveries of one registry. Entries are JSON-shaped, and hold the body that was sent."""

    def __init__(self, context: PluginContext) -> None:
        """Take the store, and how much is kept, from the context."""
        self._store = context.store
        self._log_kept = context.settings.deliveries_kept
        self._dead_kept = context.settings.dead_kept

    def record(self, name: str, moment: datetime, entry: _Document) -> None:
        """Add an attempt of ``moment`` to the subscription's log; now and then the oldest are forgotten."""
        # The second number keeps the order within a millisecond.
        key = f"{_milliseconds(moment):016}-{time.monotonic_ns():020}-{secrets.token_hex(4)}"
        self._store.put(f"log/{name}/{key}", entry)
        if zlib.crc32(f"{entry['event']}{entry['attempt']}".encode()) % _TRIM_EVERY == 0:
            self._trim(f"log/{name}/", self._log_kept)

    def entries(self, name: str) -> Iterator[_Document]:
        """Yield the log of a subscription, newest first."""
        return self._newest(f"log/{name}/", self._log_kept)

    def dead(self, name: str) -> Iterator[_Document]:
        """Yield the dead deliveries of a subscription, newest first."""
        return self._newest(f"dead/{name}/", self._dead_kept)

    def find(self, name: str, event_id: str) -> _Document | None:
        """Return the newest entry of an event that was sent to the subscription, or is dead for it."""
        for kind in (self.entries, self.dead):
            for entry in kind(name):
                if entry["event"] == event_id:
                    return entry
        return None

    def failures(self, name: str, event_id: str) -> int:
        """Return how many attempts at an event failed that is told again."""
        value = self._store.get(f"waiting/{name}/{event_id}")
        return 0 if value is None else int(value.value)

    def wait(self, name: str, event_id: str, failures: int) -> None:
        """Keep how many attempts failed."""
        self._store.put(f"waiting/{name}/{event_id}", failures)

    def settle(self, name: str, event_id: str) -> None:
        """Forget that an event waits: it has arrived, or is dead."""
        self._store.delete(f"waiting/{name}/{event_id}")

    def bury(self, name: str, position: int, entry: _Document) -> None:
        """Keep a dead delivery; beyond the bound the oldest are forgotten."""
        self._store.put(f"dead/{name}/{position:019}-{entry['event']}", entry)
        self._trim(f"dead/{name}/", self._dead_kept)

    def revive(self, name: str, event_id: str) -> None:
        """Forget a dead delivery: it has arrived after all."""
        for key in list(self._store.keys(f"dead/{name}/")):
            if key.endswith(f"-{event_id}"):
                self._store.delete(key)

    def forget(self, name: str) -> None:
        """Forget everything about a subscription."""
        for kind in ("log", "dead", "waiting"):
            self._trim(f"{kind}/{name}/", 0)

    def _newest(self, prefix: str, limit: int) -> Iterator[_Document]:
        for key in islice(reversed(list(self._store.keys(prefix))), limit):
            value = self._store.get(key)
            if value is not None:
                yield value.value

    def _trim(self, prefix: str, kept: int) -> None:
        keys = list(self._store.keys(prefix))
        for key in keys[: max(0, len(keys) - kept)]:
            self._store.delete(key)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
