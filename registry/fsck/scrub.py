"""Scrubbing: reading all bytes again, slowly, to find what the disk has lost before a client does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select, tuple_, update

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Blob
from registry.db.models.content import LIVE
from registry.fsck.content import GONE, BlobReader, BlobRow, Stopped
from registry.fsck.repairs import Repairs
from registry.fsck.scanning import AnySelect
from registry.fsck.throttle import Throttle
from registry.hooks.ports import KeyMissing, StorageDriver, StorageError

_log = logging.getLogger(__name__)
_BATCH = 50
_BLOB = table(Blob)
_LIVE = select(*(getattr(Blob, column) for column in BlobRow._fields), Blob.checked_ms).where(
    Blob.state == LIVE, Blob.storage_id == bindparam("storage")
)
_NEVER = _LIVE.where(Blob.checked_ms.is_(None), Blob.id > bindparam("id")).order_by(Blob.id).limit(_BATCH)
_LONG_AGO = (
    _LIVE.where(
        Blob.checked_ms < bindparam("before"),
        tuple_(Blob.checked_ms, Blob.id) > tuple_(bindparam("checked"), bindparam("id")),
    )
    .order_by(Blob.checked_ms, Blob.id)
    .limit(_BATCH)
)
_COUNTS = [
    select(func.count()).where(Blob.checked_ms.is_(None)),
    select(func.count()).where(Blob.checked_ms < bindparam("before")),
]
_OTHERS = select(Blob.storage_key).where(
    Blob.state == LIVE, Blob.storage_id == bindparam("storage"), Blob.id != bindparam("blob")
)
_WITNESSES = [_OTHERS.order_by(order).limit(8) for order in (Blob.id, Blob.id.desc())]
_SAME = select(Blob.id).where(Blob.id == bindparam("blob"), Blob.state == LIVE, Blob.storage_key == bindparam("key"))
_SOUND = (
    update(_BLOB)
    .where(_BLOB.c.id == bindparam("b_id"), _BLOB.c.storage_key == bindparam("b_key"))
    .values(checked_ms=bindparam("b_now"))
)
Progress = Callable[[int, int], object]


class Scrubbed(NamedTuple):
    """What a run of the scrub read: blobs, bytes, and how many blobs were damaged."""

    blobs: int
    bytes: int
    damaged: int


def _silent(done: int, total: int) -> None:
    """Tell nobody how far it is."""


class Scrub:
    """Re-hashes every blob once a cycle, the longest unread first, so that it goes on where it was stopped."""

    def __init__(
        self,
        database: Database,
        storage: StorageDriver,
        repairs: Repairs,
        *,
        every_ms: int,
        bytes_a_second: int,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Read each blob every ``every_ms`` milliseconds, and no faster than ``bytes_a_second`` on average."""
        self._database = database
        self._storage = storage
        self._storage_id = storage.storage_id
        self._reader = BlobReader(storage)
        self._repairs = repairs
        self._every_ms = every_ms
        self._bytes_a_second = bytes_a_second
        self._sleep = sleep

    def wanted(self) -> bool:
        """Tell whether a blob is due."""
        return any(self._pages(self._before()))

    def run(
        self, progress: Progress = _silent, stopping: Callable[[], bool] = bool, *, everything: bool = False
    ) -> Scrubbed:
        """Read what is due; damaged blobs go into quarantine until they are pushed again.

        With ``everything`` all blobs are due. Raises :class:`StorageError` where the store does not work, or seems to
        be another one.
        """
        before = self._before(everything=everything)
        with self._database.read() as connection:
            total = sum(connection.scalar(statement, {"before": before}) or 0 for statement in _COUNTS)
        throttle = Throttle(self._bytes_a_second, self._sleep)
        blobs = size = damaged = 0
        for page in self._pages(before):
            for row in page:
                try:
                    damaged += self._is_damaged(row, throttle, stopping)
                except Stopped:
                    return Scrubbed(blobs, size, damaged)
                blobs, size = blobs + 1, size + row.size
                progress(blobs, total)
        return Scrubbed(blobs, size, damaged)

    def _is_damaged(self, row: BlobRow, throttle: Throttle, stopping: Callable[[], bool]) -> bool:
        """Read a blob, twice if it seems damaged, and keep what came of it."""
        if stopping():
            raise Stopped
        if self._reader.damage(row, throttle, stopping) is None:
            self._keep(row)
            return False
        with self._database.read() as connection:
            if connection.execute(_SAME, {"blob": row.id, "key": row.storage_key}).first() is None:
                return False  # it went or was replaced meanwhile
        reason = self._reader.damage(row, throttle, stopping)
        if reason == GONE:
            self._require_others(row)
        if reason is None or not self._repairs.quarantine(row.id, row.storage_key):
            return False
        _log.error("blob %s is damaged: %s; it is out of service until it is pushed again", row.digest, reason)
        return True

    def _require_others(self, row: BlobRow) -> None:
        """Raise :class:`StorageError` where other blobs are gone as well.

        A volume that is not mounted, or a setting that names an empty store, would else take the whole registry out of
        service, and once the right store is back, nothing would bring it back before all bytes were read.
        """
        of = {"storage": self._storage_id, "blob": row.id}
        with self._database.read() as connection:
            keys = [key for statement in _WITNESSES for key in connection.scalars(statement, of)]
        for key in keys:
            with suppress(KeyMissing, ValueError):
                self._storage.size(key)
                return
        raise StorageError(
            f"the store has neither blob {row.digest} nor any other that was looked for: is it the right one, and is"
            " its volume mounted? If it is, moorage fsck --repair takes what is lost out of service"
        )

    def _pages(self, before: int) -> Iterator[list[BlobRow]]:
        """Yield what is due: first what was never read or is under suspicion, then the longest unread."""
        for statement in (_NEVER, _LONG_AGO):
            yield from self._walk(statement, before)

    def _walk(self, statement: AnySelect, before: int) -> Iterator[list[BlobRow]]:
        checked, last = -1, 0
        while True:
            of = {"storage": self._storage_id, "before": before, "checked": checked, "id": last}
            with self._database.read() as connection:
                rows = connection.execute(statement, of).all()
            if not rows:
                return
            yield [BlobRow._make(row[:-1]) for row in rows]
            checked, last = rows[-1][-1] or 0, rows[-1][0]

    def _before(self, *, everything: bool = False) -> int:
        with self._database.read() as connection:
            now = self._database.now(connection)
        return now if everything else now - self._every_ms

    def _keep(self, row: BlobRow) -> None:
        def work(connection: Connection) -> None:
            values = {"b_id": row.id, "b_key": row.storage_key, "b_now": self._database.now(connection)}
            connection.execute(_SOUND, values)

        self._database.write(work, durable=False)
