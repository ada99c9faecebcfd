"""Digests that were purged and may not come back."""

from __future__ import annotations

from sqlalchemy import Connection, Row, bindparam, select

from registry.db.models import PurgedDigest
from registry.errors import DigestPurged

_FIND = select(PurgedDigest.reason, PurgedDigest.actor, PurgedDigest.purged_ms).where(
    PurgedDigest.digest == bindparam("digest")
)


def find_purge(connection: Connection, digest: str) -> Row[str, str, int] | None:
    """Return why, by whom and when a digest was purged, or None."""
    return connection.execute(_FIND, {"digest": digest}).first()


def refuse_purged(connection: Connection, digest: str) -> None:
    """Raise :class:`DigestPurged` for a digest that may not come back, in the caller's transaction."""
    found = find_purge(connection, digest)
    if found is not None:
        raise DigestPurged(detail={"digest": digest, "reason": found.reason})
