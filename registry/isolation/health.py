"""How plugins did: counted in memory, and added up for all processes every few seconds.

A crash may lose the last of them; nothing else depends on a single one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Executable, case, select

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import PluginHealth as HealthRow
from registry.errors import ReadOnly, RegistryError
from registry.hooks.calls import Calls

_log = logging.getLogger(__name__)
_HEALTH = table(HealthRow)
_MAX_ERROR = 1000


@dataclass(frozen=True, slots=True)
class HookHealth:
    """How a plugin's implementation of one hook did; ``last_error_ms`` is 0 where it never failed."""

    hook: str
    calls: int
    failures: int
    micros: int
    last_error: str
    last_error_ms: int


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    failures: int = 0
    seconds: float = 0.0
    error: str = ""
    error_at: float = 0.0


class HealthService:
    """Adds up what this process counted, and reads what all did."""

    def __init__(self, database: Database, calls: Calls) -> None:
        """Write to ``database`` what ``calls`` counts."""
        self._database = database
        self._calls = calls
        self._written: dict[tuple[str, str], _Sum] = {}
        self._add = _adding(database)

    def start(self) -> None:
        """Count from nothing in this process."""
        self._calls.reset()
        self._written = {}

    def flush(self) -> None:
        """Write what was counted since the last time; what cannot be written now is kept for the next."""
        counted = self._counted()
        changed = {key: one for key, one in counted.items() if one != self._written.get(key, _Sum())}
        if not changed:
            return
        try:
            self._database.write(lambda connection: self._write(connection, changed), durable=False)
        except RegistryError as error:
            _log.debug("how plugins did was not kept: %s", error.message)
        else:
            self._written = counted

    def count_death(self, plugin: str, hook: str, reason: str) -> None:
        """Count that a process died in a plugin."""
        row = {"plugin": plugin, "hook": hook, "calls": 0, "failures": 1, "micros": 0, "last_error": reason}
        with suppress(ReadOnly):  # the log tells of it
            self._database.write(lambda connection: self._keep(connection, [row]), durable=False)

    def of_all(self) -> Mapping[str, Sequence[HookHealth]]:
        """Return how every plugin did in all processes, by its name."""
        found: dict[str, list[HookHealth]] = {}
        with self._database.read() as connection:
            for row in connection.execute(select(_HEALTH).order_by(_HEALTH.c.plugin, _HEALTH.c.hook)):
                found.setdefault(row.plugin, []).append(HookHealth(*row[1:]))
        return found

    def _counted(self) -> dict[tuple[str, str], _Sum]:
        found: dict[tuple[str, str], _Sum] = {}
        for tally in self._calls.tallies:
            one = found.setdefault((tally.plugin, tally.hook), _Sum())
            one.calls += tally.calls
            one.failures += tally.failures
            one.seconds += tally.seconds
            if tally.last_error_at > one.error_at:
                one.error, one.error_at = tally.last_error, tally.last_error_at
        return found

    def _write(self, connection: Connection, changed: Mapping[tuple[str, str], _Sum]) -> None:
        rows = []
        for (plugin, hook), one in changed.items():
            before = self._written.get((plugin, hook), _Sum())
            row = {
                "plugin": plugin,
                "hook": hook,
                "calls": one.calls - before.calls,
                "failures": one.failures - before.failures,
                "micros": round(1e6 * (one.seconds - before.seconds)),
                "last_error": one.error if one.error_at > before.error_at else "",
            }
            rows.append(row)
        self._keep(connection, rows)

    def _keep(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        now = self._database.now(connection)
        for row in rows:
            row["last_error"] = _storable(row["last_error"])
            row["last_error_ms"] = now if row["last_error"] else 0
        connection.execute(self._add, rows)


def _adding(database: Database) -> Executable:
    """Return the statement that adds a row to what is known; the last error stays where there is no newer one."""
    statement = database.insert(HealthRow)
    new = statement.excluded
    kept: Executable = statement.on_conflict_do_update(
        index_elements=[_HEALTH.c.plugin, _HEALTH.c.hook],
        set_={
            **{name: _HEALTH.c[name] + new[name] for name in ("calls", "failures", "micros")},
            **{
                name: case((new.last_error_ms > 0, new[name]), else_=_HEALTH.c[name])
                for name in ("last_error", "last_error_ms")
            },
        },
    )
    return kept


def _storable(text: str) -> str:
    """Return a plugin's words as they can be stored and shown: bounded, on one line, and free of NUL."""
    shown = text if len(text) <= _MAX_ERROR else text[:_MAX_ERROR] + "\u2026"
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in shown)
