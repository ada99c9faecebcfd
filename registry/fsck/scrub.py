"""Scrubbing: reading all bytes again, slowly, to find what the disk has lost before a client does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import bindparam, func, or_, select, update

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Blob
from registry.db.models.content import LIVE
from registry.digest import Digest
from registry.fsck.blobs import BlobChecks

_log = logging.getLogger(__name__)
_BATCH = 50
_BLOB = table(Blob)
_NEXT = (
    select(Blob.id, Blob.digest, Blob.size, Blob.storage_key)
    .where(
        Blob.state == LIVE,
        Blob.storage_id == bindparam("storage"),
        or_(Blob.checked_ms.is_(None), Blob.checked_ms < bindparam("before")),
    )
    .order_by(func.coalesce(Blob.checked_ms, 0), Blob.id)
    .limit(_BATCH)
)
_SOUND = (
    update(_BLOB)
    .where(_BLOB.c.id == bindparam("b_id"), _BLOB.c.storage_key == bindparam("b_key"))
    .values(checked_ms=bindparam("b_now"))
)


class Scrubbed(NamedTuple):
    """What a run of the scrub read: blobs, bytes, and how many blobs were damaged."""

    blobs: int
    bytes: int
    damaged: int


class Scrub:
    """Re-hashes every blob once a cycle."""

    def __init__(
        self,
        database: Database,
        checks: BlobChecks,
        storage_id: str,
        *,
        every_ms: int,
        bytes_a_second: int,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Read each blob every ``every_ms`` milliseconds, and no faster than ``bytes_a_second`` on average."""
        self._database = database
        self._checks = checks
        self._storage_id = storage_id
        self._every_ms = every_ms
        self._bytes_a_second = bytes_a_second
        self._sleep = sleep

    def wanted(self) -> bool:
        """Tell whether a blob is due."""
        with self._database.read() as connection:
            return connection.execute(_NEXT, self._due(self._database.now(connection))).first() is not None

    def run(
        self, progress: Callable[[int], object] = int, stopping: Callable[[], bool] = bool, *, everything: bool = False
    ) -> Scrubbed:
        """Read what is due, the longest unread first; damaged blobs go into quarantine until they are pushed again.

        With ``everything`` all blobs are due.
        """
        blobs = size = damaged = 0
        with self._database.read() as connection:
            now = self._database.now(connection)
        due = self._due(now + self._every_ms if everything else now)
        while True:
            with self._database.read() as connection:
                batch = connection.execute(_NEXT, due).all()
            for row in batch:
                if stopping():
                    return Scrubbed(blobs, size, damaged)
                reason = self._checks.damage(Digest.parse(row.digest), row.size, row.storage_key, deep=True)
                if reason is None:
                    self._keep(row.id, row.storage_key)
                else:
                    _log.error(
                        "blob %s is damaged: %s; it is out of service until it is pushed again", row.digest, reason
                    )
                    self._checks.quarantine(row.id, row.storage_key)
                    damaged += 1
                blobs, size = blobs + 1, size + row.size
                progress(blobs)
                self._sleep(row.size / self._bytes_a_second)
            if not batch:
                return Scrubbed(blobs, size, damaged)

    def _due(self, now: int) -> dict[str, object]:
        return {"storage": self._storage_id, "before": now - self._every_ms}

    def _keep(self, blob_id: int, key: str) -> None:
        self._database.write(
            lambda connection: connection.execute(
                _SOUND, {"b_id": blob_id, "b_key": key, "b_now": self._database.now(connection)}
            ),
            durable=False,
        )
