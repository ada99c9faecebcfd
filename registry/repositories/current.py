"""What names stand for now: their current periods, alive or lapsed, and what became of one that is not there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, or_, select

from registry.db.models import Manifest, ManifestChild, Tag
from registry.errors import ManifestUnknown
from registry.names import TagName
from registry.repositories.tag_values import Period

CURRENT = select(*(getattr(Tag, column) for column in Period._fields)).where(Tag.current == 1)
"""Current periods, to be made a :class:`Period` each; add which."""


def _needing() -> Select[Any]:
    """Walk from a manifest up to all that consist of it (a recursive union visits each once), and to their tags."""
    found = (Manifest.id, Manifest.repository_id, Manifest.digest)
    up = select(*found).where(Manifest.id == bindparam("manifest")).cte("up", recursive=True)
    up = up.union(
        select(*found)
        .join(ManifestChild, ManifestChild.manifest_id == Manifest.id)
        .join(up, (ManifestChild.repository_id == up.c.repository_id) & (ManifestChild.digest == up.c.digest))
        .where(Manifest.deleted_at.is_(None))
    )
    return CURRENT.where(Tag.manifest_id.in_(select(up.c.id)))


_NAMED = CURRENT.where(Tag.repository_id == bindparam("repository"), Tag.name == bindparam("tag"))
_OF_MANIFEST = CURRENT.where(Tag.manifest_id == bindparam("manifest")).order_by(Tag.name)
_NEEDING = _needing().order_by(Tag.name)
_LAST_PERIOD = (
    select(Tag.lifetime_end_ms, Tag.end_reason)
    .where(Tag.repository_id == bindparam("repository"), Tag.name == bindparam("tag"))
    .order_by(Tag.lifetime_start_ms.desc())
    .limit(1)
)


def unended(now: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a period has no end, or one after ``now``."""
    return or_(Tag.lifetime_end_ms.is_(None), Tag.lifetime_end_ms > now)


def alive(now: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a tag's row is alive at ``now``."""
    return (Tag.current == 1) & unended(now)


def is_alive(row: Period, now: int) -> bool:
    """Tell whether a current period is alive at ``now``."""
    return row.lifetime_end_ms is None or row.lifetime_end_ms > now


def find_current(connection: Connection, repository_id: int, name: TagName) -> Period | None:
    """Return a name's current period, alive or lapsed."""
    row = connection.execute(_NAMED, {"repository": repository_id, "tag": name.value}).first()
    return None if row is None else Period._make(row)


def require_alive(connection: Connection, now: int, repository_id: int, name: TagName) -> Period:
    """Return a name's living period; raise :class:`ManifestUnknown` that tells when and why it ended."""
    row = find_current(connection, repository_id, name)
    if row is None or not is_alive(row, now):
        raise explain_missing(connection, repository_id, name)
    return row


def current_of_manifest(connection: Connection, manifest_id: int) -> list[Period]:
    """Return the current periods that stand for a manifest, by name, alive or lapsed."""
    return [Period._make(row) for row in connection.execute(_OF_MANIFEST, {"manifest": manifest_id})]


def current_needing(connection: Connection, manifest_id: int) -> list[Period]:
    """Return the current periods that stand for a manifest, or for an index that it is a part of at any depth."""
    return [Period._make(row) for row in connection.execute(_NEEDING, {"manifest": manifest_id})]


def as_text(milliseconds: int) -> str:
    """Return a time as it is told to people: RFC 3339, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def explain_missing(connection: Connection, repository_id: int, name: TagName) -> ManifestUnknown:
    """Return the error for a tag that is not alive; it says when and why its life ended, if it had one."""
    detail = {"tag": name.value}
    ended = connection.execute(_LAST_PERIOD, {"repository": repository_id, "tag": name.value}).first()
    if ended is None or ended[0] is None:
        return ManifestUnknown(detail=detail)
    when = as_text(ended[0])
    reason = ended[1] or "expired"
    return ManifestUnknown(
        f"the tag's life ended at {when} ({reason})", detail={**detail, "ended": when, "reason": reason}
    )
