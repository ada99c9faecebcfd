"""Events as observers hear of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

from registry.events.types import TYPES, EventType
from registry.hooks import Event

__all__ = ["EVENT_TYPES", "event"]

EVENT_TYPES: Mapping[str, EventType] = {one.name: one for one in TYPES}
"""What the registry tells of by itself, by name."""


def event(
    kind: str, repository: str = "team/app", subject: str = "v1", data: Mapping[str, object] | None = None
) -> Event:
    """Return an event; ``data`` has the fields that its type lists, empty unless given."""
    listed = EVENT_TYPES[kind].data if kind in EVENT_TYPES else {}
    filled: dict[str, object] = dict.fromkeys(listed)
    return Event(
        id=uuid4().hex,
        position=1,
        type=kind,
        time=datetime(2024, 2, 29, 12, tzinfo=UTC),
        repository=repository,
        subject=subject,
        actor="anonymous",
        data={**filled, **(data or {})},
    )
