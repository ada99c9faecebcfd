"""Checks of tags: their periods and what they stand for."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, bindparam, func, or_, select

from registry.db.models import Manifest, Tag
from registry.fsck.findings import Finding, error

_AT_ONCE = 1000
_BEFORE = func.max(Tag.lifetime_end_ms).over(
    partition_by=(Tag.repository_id, Tag.name), order_by=Tag.lifetime_start_ms, rows=(None, -1)
)
_PERIODS = select(
    Tag.id,
    Tag.repository_id,
    Tag.name,
    Tag.lifetime_start_ms,
    Tag.lifetime_end_ms,
    _BEFORE.label("before"),
).subquery()
_OVERLAPPING = select(_PERIODS).where(
    or_(_PERIODS.c.before > _PERIODS.c.lifetime_start_ms, _PERIODS.c.lifetime_end_ms < _PERIODS.c.lifetime_start_ms)
)
_ENDLESS = select(Tag.id, Tag.repository_id, Tag.name).where(Tag.current.is_(None), Tag.lifetime_end_ms.is_(None))
_ELSEWHERE = (
    select(Tag.id, Tag.repository_id, Tag.name, Tag.digest)
    .join(Manifest, Manifest.id == Tag.manifest_id)
    .where(or_(Manifest.repository_id != Tag.repository_id, Manifest.digest != Tag.digest))
)
_LIVING = (Tag.current == 1) & or_(Tag.lifetime_end_ms.is_(None), Tag.lifetime_end_ms > bindparam("now"))
_OF_NOTHING = (
    select(Tag.id, Tag.repository_id, Tag.name, Tag.digest)
    .outerjoin(Manifest, Manifest.id == Tag.manifest_id)
    .where(_LIVING, or_(Manifest.id.is_(None), Manifest.deleted_at.is_not(None)))
)
_ENDING = select(Tag.id, Tag.repository_id, Tag.name).where(
    Tag.current == 1, or_(Tag.immutable, Tag.label_immutable), Tag.lifetime_end_ms.is_not(None)
)
_COUNT = select(func.count()).select_from(Tag)


def check_tags(connection: Connection, now: int) -> Iterator[Finding]:
    """Yield what is wrong with periods of tags."""
    for row in connection.execute(_OVERLAPPING).yield_per(_AT_ONCE):
        yield error("tag periods overlap", _name(row.repository_id, row.name), f"period {row.id}")
    for row in connection.execute(_ENDLESS).yield_per(_AT_ONCE):
        yield error("tag period without an end", _name(row.repository_id, row.name), f"period {row.id}")
    for row in connection.execute(_ELSEWHERE).yield_per(_AT_ONCE):
        yield error("tag of another manifest", _name(row.repository_id, row.name), f"its row is not {row.digest}")
    for row in connection.execute(_OF_NOTHING, {"now": now}).yield_per(_AT_ONCE):
        yield error("tag of no manifest", _name(row.repository_id, row.name), f"{row.digest} is not there")
    for row in connection.execute(_ENDING).yield_per(_AT_ONCE):
        yield error("immutable tag with an end", _name(row.repository_id, row.name), f"period {row.id}")


def count_tags(connection: Connection) -> int:
    """Return how many periods there are."""
    return int(connection.scalar(_COUNT) or 0)


def _name(repository_id: int, tag: str) -> str:
    return f"repository {repository_id}, tag {tag}"
