"""What a plugin is handed, in memory: for tests of one plugin alone."""

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from registry.hooks import EgressFailed, EgressResponse, Event, PluginContext, StoreConflict, StoredValue


class MemoryStore:
    """A plugin's store."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[str, int]] = {}

    def get(self, key: str) -> StoredValue | None:
        text, revision = self.values.get(key, ("null", 0))
        return StoredValue(json.loads(text), revision) if revision else None

    def put(self, key: str, value: object, expected: int | None = None) -> int:
        revision = self.values.get(key, ("", 0))[1]
        if expected is not None and expected != revision:
            raise StoreConflict(key)
        self.values[key] = (json.dumps(value), revision + 1)
        return revision + 1

    def delete(self, key: str, expected: int | None = None) -> None:
        if expected is not None and expected != self.values.get(key, ("", 0))[1]:
            raise StoreConflict(key)
        self.values.pop(key, None)

    def keys(self, prefix: str = "") -> Iterator[str]:
        return iter(sorted(key for key in self.values if key.startswith(prefix)))


class MovedClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        """Move it on, by what :class:`~datetime.timedelta` takes."""
        self.now += timedelta(**by)


class ScriptedEgress:
    """Answers what it is told, by URL: a status, or an error to raise; 204 unless told. Keeps what was sent."""

    def __init__(self) -> None:
        self.answers: dict[str, int | Exception] = {}
        self.sent: list[tuple[str, bytes, Mapping[str, str]]] = []

    def check(self, url: str) -> None:
        error = self.answers.get(url)
        if isinstance(error, ValueError):
            raise error

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> EgressResponse:
        assert timeout_seconds > 0
        self.sent.append((url, body, headers))
        answer = self.answers.get(url, 204)
        if isinstance(answer, Exception):
            raise answer
        return EgressResponse(answer, {}, b"", truncated=False)


def nobody_there() -> EgressFailed:
    """Return the error of a receiver that is down."""
    return EgressFailed("Connection refused")


def memory_context(plugin: str, settings: Any, egress: Any = None) -> PluginContext:
    """Return a context over a store in memory, with a clock to move, and nothing of a registry."""

    def nothing(*_: object) -> Any:
        raise AssertionError("the plugin may not need this")

    nowhere: Any = nothing

    return PluginContext(
        plugin=plugin,
        settings=settings,
        store=MemoryStore(),
        tags=nowhere,
        reader=nothing,
        repositories=nothing,
        clock=MovedClock(),
        log=logging.getLogger(f"moorage.plugins.{plugin}"),
        egress=egress or ScriptedEgress(),
    )


def made_event(
    number: int = 1,
    *,
    kind: str = "org.moorage.tag.changed",
    repository: str = "team/app",
    subject: str = "latest",
    data: Mapping[str, object] | None = None,
) -> Event:
    """Return an event; its number is its position, and its id follows from it."""
    time = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    told = {"digest": "sha256:x"} if data is None else data
    return Event(f"{number:032x}", number, kind, time, repository, subject, "alice", told)
