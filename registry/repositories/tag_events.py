"""What is told of tags: each is written where the row was changed, so that no way to change one escapes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, update

from registry.access.actors import Actor
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Tag
from registry.events.outbox import Outbox, time_text
from registry.events.types import TAG_CHANGED, TAG_DELETED, TAG_EXPIRED, TAG_RESTORED, TAG_UPDATED, label_event
from registry.repositories.tag_values import EndReason, LabelEvent, Period, TagTarget

_TAG = table(Tag)
_LAPSE = (
    update(_TAG)
    .where(_TAG.c.id == bindparam("b_id"), _TAG.c.end_reason.is_(None), _TAG.c.lifetime_end_ms <= bindparam("b_now"))
    .values(end_reason=EndReason.EXPIRED.value)
)
LAPSED_BY = Actor("job:lapses")
"""Who is told to have ended what lapsed: nobody was there."""


class TagEvents:
    """Writes the events of tags, in the caller's transaction."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        """Write to ``outbox``."""
        self._lapse = database.prepare_change(_LAPSE)
        self._outbox = outbox

    def started(
        self,
        connection: Connection,
        repository_id: int,
        name: str,
        target: TagTarget,
        period: tuple[int, int | None],
        previous: str | None,
        actor: Actor,
    ) -> None:
        """Tell of a new period, from its start to its end, after one of ``previous``, and what labels ask for."""
        (start, end), effects = period, target.effects
        data = {
            "digest": target.digest,
            "previous": previous,
            "expires": time_text(end),
            "immutable": effects.immutable,
        }
        kind = TAG_RESTORED if target.reversion else TAG_CHANGED
        self._outbox.record(connection, start, kind, repository_id, name, actor, data)
        if effects.events:
            self.asked_for(connection, start, repository_id, target.digest, name, effects.events, actor)

    def asked_for(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        digest: str,
        tag: str | None,
        events: Sequence[LabelEvent],
        actor: Actor,
    ) -> None:
        """Tell what labels ask for."""
        for event in events:
            data = {"tag": tag, "label": event.label, "data": event.data}
            kind = label_event(event.name)
            self._outbox.record(connection, now, kind, repository_id, digest, actor, data)

    def updated(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        row: Period,
        end: int | None,
        immutable: bool,  # noqa: FBT001 - a value of the row
        actor: Actor,
    ) -> None:
        """Tell of another end or protection of a period, where it is another."""
        if (row.lifetime_end_ms, row.immutable or row.label_immutable) == (end, immutable):
            return
        data = {"digest": row.digest, "expires": time_text(end), "immutable": immutable}
        self._outbox.record(connection, now, TAG_UPDATED, repository_id, row.name, actor, data)

    def ended(
        self, connection: Connection, now: int, repository_id: int, row: Period, reason: EndReason, actor: Actor
    ) -> None:
        """Tell of a period that was ended; one that moved is told of by the new one."""
        if reason is not EndReason.MOVED:
            data = {"digest": row.digest, "reason": reason.value}
            self._outbox.record(connection, now, TAG_DELETED, repository_id, row.name, actor, data)

    def lapsed(
        self, connection: Connection, now: int, repository_id: int, row_id: int, name: str, digest: str, end: int
    ) -> bool:
        """Tell that a period's end has come, unless that was told; returns whether it was told now."""
        if self._lapse(connection, {"b_id": row_id, "b_now": now}) != 1:
            return False
        data = {"digest": digest, "expired": time_text(end)}
        self._outbox.record(connection, now, TAG_EXPIRED, repository_id, name, LAPSED_BY, data)
        return True
