"""Changes of a current period: each finds it as it was read, or changes nothing."""

from __future__ import annotations

from sqlalchemy import bindparam, update

from registry.db.base import table
from registry.db.models import Tag
from registry.repositories.tag_values import Period

_TAG = table(Tag)
CHANGE = update(_TAG).where(
    _TAG.c.id == bindparam("b_id"),
    _TAG.c.current == 1,
    _TAG.c.immutable == bindparam("b_was_immutable"),
    _TAG.c.label_immutable == bindparam("b_was_label_immutable"),
    _TAG.c.lifetime_end_ms.is_not_distinct_from(bindparam("b_was_end")),
    _TAG.c.expiry_source.is_not_distinct_from(bindparam("b_was_source")),
)
"""Changes a current period that is still as it was read: give it :func:`as_read`, and see that it changes one row."""
END = CHANGE.values(current=None, lifetime_end_ms=bindparam("b_end"), end_reason=bindparam("b_reason"))
SET = CHANGE.values(
    lifetime_end_ms=bindparam("b_end"), expiry_source=bindparam("b_source"), immutable=bindparam("b_immutable")
)
RELABEL = CHANGE.values(
    lifetime_end_ms=bindparam("b_end"),
    expiry_source=bindparam("b_source"),
    label_immutable=bindparam("b_immutable"),
    family=bindparam("b_family"),
)


def as_read(row: Period) -> dict[str, object]:
    """Return the values by which :data:`CHANGE` finds a period, and finds it unchanged."""
    return {
        "b_id": row.id,
        "b_was_immutable": row.immutable,
        "b_was_label_immutable": row.label_immutable,
        "b_was_end": row.lifetime_end_ms,
        "b_was_source": row.expiry_source,
    }
