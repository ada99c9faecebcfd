"""Blobs' rows against their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import NamedTuple

from sqlalchemy import bindparam, select

from registry.db.engine import Database
from registry.db.models import Blob, RepositoryBlob
from registry.db.models.content import DAMAGED, LIVE
from registry.digest import Digest, new_hasher
from registry.errors import RegistryError
from registry.fsck.findings import Finding, Kind, error
from registry.fsck.repairs import Repairs
from registry.fsck.scanning import Scope
from registry.fsck.throttle import Throttle
from registry.hooks.ports import KeyMissing, StorageDriver, StorageError

_BATCH = 200
GONE = "its bytes are gone"
_READERS = 4
"""So many blobs are looked at at once."""


class BlobRow(NamedTuple):
    """A blob as the database has it; the fields are columns of ``blob``."""

    id: int
    digest: str
    size: int
    state: str
    storage_key: str


_ROWS = select(*(getattr(Blob, column) for column in BlobRow._fields)).where(
    Blob.storage_id == bindparam("storage"), Blob.state.in_([LIVE, DAMAGED])
)
_PAGE = _ROWS.where(Blob.id > bindparam("last")).order_by(Blob.id).limit(_BATCH)
_ONE = _ROWS.where(Blob.id == bindparam("blob"))


class Stopped(Exception):
    """Reading was broken off because it should end."""


class BlobReader:
    """Compares a blob's bytes with what its row says."""

    def __init__(self, storage: StorageDriver) -> None:
        """Read from ``storage``."""
        self._storage = storage

    def damage(
        self, row: BlobRow, throttle: Throttle | None, stopping: Callable[[], bool] = bool, *, tries: int = 2
    ) -> str | None:
        """Return what is wrong with a blob's bytes, or None; with ``throttle`` all of them are read.

        Bytes that cannot be read at ``tries`` attempts, from a store that works, are damaged. Raises
        :class:`StorageError` where the store itself does not work, and :class:`Stopped`.
        """
        try:
            real = self._storage.size(row.storage_key)
            if real != row.size:
                return f"it has {real} bytes instead of {row.size}"
            return None if throttle is None else self._read(row, throttle, stopping)
        except (KeyMissing, ValueError):
            return GONE
        except RegistryError as problem:
            return f"its digest is none: {problem.message}"
        except StorageError as problem:
            self._storage.check()
            if tries > 1:
                return self.damage(row, throttle, stopping, tries=tries - 1)
            return f"its bytes cannot be read: {problem}"

    def _read(self, row: BlobRow, throttle: Throttle, stopping: Callable[[], bool]) -> str | None:
        wanted = Digest.parse(row.digest)
        hasher = new_hasher(wanted.algorithm)
        with closing(self._storage.read(row.storage_key)) as pieces:
            for piece in pieces:
                hasher.update(piece)
                throttle.take(len(piece), stopping)
                if stopping():
                    raise Stopped
        return None if hasher.hexdigest() == wanted.encoded else "its bytes have another digest"


class ContentChecks:
    """Looks at the bytes of every blob."""

    def __init__(self, database: Database, storage: StorageDriver, repairs: Repairs) -> None:
        """Look into ``storage``; ``repairs`` puts blobs into quarantine."""
        self._database = database
        self._storage_id = storage.storage_id
        self._reader = BlobReader(storage)
        self._repairs = repairs

    def pages(self, scope: Scope) -> Iterator[Sequence[BlobRow]]:
        """Yield all blobs of the scope that should have bytes, in order."""
        statement, last = _PAGE, 0
        if scope.repositories is not None:
            members = select(RepositoryBlob.blob_id).where(RepositoryBlob.repository_id.in_(scope.repositories))
            statement = statement.where(Blob.id.in_(members))
        while True:
            with self._database.read() as connection:
                found = connection.execute(statement, {"storage": self._storage_id, "last": last}).all()
            if not found:
                return
            yield [BlobRow._make(row) for row in found]
            last = found[-1].id

    def check(self, page: Sequence[BlobRow], throttle: Throttle | None) -> Iterator[Finding]:
        """Yield what is wrong with the bytes of these blobs, in order; with ``throttle`` all are read."""
        with ThreadPoolExecutor(_READERS, thread_name_prefix="fsck") as pool:
            for finding in pool.map(partial(self._one, throttle=throttle), page):
                if finding is not None:
                    yield finding

    def _one(self, row: BlobRow, throttle: Throttle | None) -> Finding | None:
        if row.state == DAMAGED:
            return self._quarantined(row, throttle)
        if self._reader.damage(row, throttle) is None:
            return None
        again = self._again(row)
        reason = None if again is None else self._reader.damage(again, throttle)
        if reason is None or self._again(row) is None:
            return None

        def repair() -> str:
            gone = self._repairs.quarantine(row.id, row.storage_key)
            return "in quarantine: push it again, which heals it" if gone else "it was replaced meanwhile"

        return error(Kind.BLOB_DAMAGED, f"blob {row.digest}", reason, repair)

    def _quarantined(self, row: BlobRow, throttle: Throttle | None) -> Finding | None:
        """Tell of a blob in quarantine; one that turns out right on a full reading can be put back."""
        subject = f"blob {row.digest}"
        if throttle is not None and self._reader.damage(row, throttle) is None:

            def release() -> str:
                back = self._repairs.release(row.id, row.storage_key)
                return "back in service" if back else "it was replaced meanwhile"

            return error(Kind.BLOB_SOUND, subject, "its bytes are right after all", release)
        if self._again(row) is None:
            return None
        return error(Kind.BLOB_DAMAGED, subject, "in quarantine: push it again, which heals it")

    def _again(self, row: BlobRow) -> BlobRow | None:
        """Return the row if it still says the same."""
        with self._database.read() as connection:
            found = connection.execute(_ONE, {"storage": self._storage_id, "blob": row.id}).first()
        return row if found is not None and BlobRow._make(found) == row else None
