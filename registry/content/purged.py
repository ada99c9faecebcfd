"""Digests that were purged and may not come back."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, text

from registry.db.engine import Database
from registry.db.models import PurgedDigest
from registry.errors import DigestPurged

_AT_ONCE = 500
_FIND = select(PurgedDigest.reason, PurgedDigest.actor, PurgedDigest.purged_ms).where(
    PurgedDigest.digest == bindparam("digest")
)
_ASK = _FIND.with_for_update(read=True)
_NAMED = (
    select(PurgedDigest.digest, PurgedDigest.reason)
    .where(PurgedDigest.digest.in_(bindparam("digests", expanding=True)))
    .order_by(PurgedDigest.digest)
    .limit(1)
)
_EXCLUDE = text("LOCK TABLE purged_digest IN EXCLUSIVE MODE")


class PurgedDigests:
    """Knows what was purged; every push asks."""

    def __init__(self, database: Database) -> None:
        """Look into ``database``, in the caller's transaction."""
        self._database = database
        self._find = database.prepare(_FIND)
        self._ask = database.prepare(_ASK)

    def find(self, connection: Connection, digest: str) -> tuple[str, str, int] | None:
        """Return why, by whom and when (milliseconds) a digest was purged, or None."""
        row = self._find(connection, {"digest": digest})
        return None if row is None else (row[0], row[1], row[2])

    def refuse(self, connection: Connection, digest: str) -> None:
        """Raise :class:`DigestPurged` for a digest that may not come back; that holds until the transaction ends."""
        found = self._ask(connection, {"digest": digest})
        if found is not None:
            raise _refusal(digest, found[0])

    def hold_back_pushes(self, connection: Connection) -> None:
        """Wait for transactions that have asked by :meth:`refuse`; others wait until this one ends.

        PostgreSQL: asking with a row lock takes the table's ROW SHARE lock, even where no row is found. Plain reads
        (a backup) neither wait nor are waited for. SQLite has one writer at a time anyway.
        """
        if self._database.dialect == "postgresql":
            connection.execute(_EXCLUDE)


def refuse_named(connection: Connection, digests: Sequence[str]) -> None:
    """Raise :class:`DigestPurged` where one of the digests that a manifest names, and that are not here, was purged."""
    for start in range(0, len(digests), _AT_ONCE):
        found = connection.execute(_NAMED, {"digests": digests[start : start + _AT_ONCE]}).first()
        if found is not None:
            raise _refusal(found.digest, found.reason)


def _refusal(digest: str, reason: str) -> DigestPurged:
    """Return the error with its reason in the message as well: docker and skopeo show nothing else."""
    return DigestPurged(f"{DigestPurged.summary}: {reason}", detail={"digest": digest, "reason": reason})
