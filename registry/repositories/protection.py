"""What must not be moved or deleted: tags that the API, a label or a rule made immutable."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from registry.errors import TagImmutable
from registry.names import TagName
from registry.repositories.tag_values import Period, TagEffects


class Protection:
    """Knows why a tag is immutable."""

    def reason(self, connection: Connection, now: int, repository_id: int, row: Period) -> str | None:  # noqa: ARG002 - rules ask for all of it
        """Return who made a current period immutable, or None."""
        if row.immutable:
            return "it was made immutable"
        if row.label_immutable:
            return "a label of its image makes it immutable"
        return None

    def refuse(self, connection: Connection, now: int, repository_id: int, row: Period) -> None:
        """Raise :class:`TagImmutable` where a living period must stay as it is."""
        reason = self.reason(connection, now, repository_id, row)
        if reason is not None:
            raise TagImmutable(f"the tag {row.name} is immutable: {reason}", detail={"tag": row.name, "reason": reason})

    def settle(
        self,
        connection: Connection,  # noqa: ARG002 - rules ask for all of it
        now: int,  # noqa: ARG002 - rules ask for all of it
        repository_id: int,  # noqa: ARG002 - rules ask for all of it
        name: TagName,  # noqa: ARG002 - rules ask for all of it
        effects: TagEffects,
    ) -> TagEffects:
        """Return the effects on a new period: what is immutable never ends."""
        if effects.immutable and effects.lives_ms is not None:
            return replace(effects, lives_ms=None)
        return effects
