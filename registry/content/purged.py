"""Digests that were purged and may not come back."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from registry.db.engine import Database
from registry.db.models import PurgedDigest
from registry.errors import DigestPurged

_FIND = select(PurgedDigest.reason, PurgedDigest.actor, PurgedDigest.purged_ms).where(
    PurgedDigest.digest == bindparam("digest")
)


class PurgedDigests:
    """Knows what was purged; every push asks."""

    def __init__(self, database: Database) -> None:
        """Look into ``database``, in the caller's transaction."""
        self._find = database.prepare(_FIND)

    def find(self, connection: Connection, digest: str) -> tuple[str, str, int] | None:
        """Return why, by whom and when (milliseconds) a digest was purged, or None."""
        row = self._find(connection, {"digest": digest})
        return None if row is None else (row[0], row[1], row[2])

    def refuse(self, connection: Connection, digest: str) -> None:
        """Raise :class:`DigestPurged` for a digest that may not come back."""
        found = self.find(connection, digest)
        if found is not None:
            raise DigestPurged(detail={"digest": digest, "reason": found[0]})
