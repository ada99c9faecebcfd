"""The blobs that a backup names, from its dump of their table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry.backup.catalogue import BackupUnusable, Manifest, blob_name
from registry.backup.dumps import Row, rows_of
from registry.backup.objects import Objects
from registry.db.models import Blob
from registry.db.models.content import DELETING
from registry.digest import Digest
from registry.errors import DigestInvalid

TABLE = Blob.__tablename__


@dataclass(frozen=True, slots=True)
class BlobRow:
    """A blob of a snapshot, and where its bytes were."""

    digest: Digest
    size: int
    storage_id: str
    storage_key: str

    @property
    def name(self) -> str:
        """Where it is in a place of backups."""
        return blob_name(self.digest)


def blobs_in(rows: Iterator[Row]) -> Iterator[BlobRow]:
    """Yield the blobs among rows of their table that have bytes; raises :class:`BackupUnusable`."""
    for row in rows:
        if row["state"] == DELETING:
            continue
        try:
            digest = Digest.parse(row["digest"])
        except DigestInvalid as error:
            raise BackupUnusable(f"a blob has no digest that this Moorage knows: {row['digest']!r}") from error
        yield BlobRow(digest, int(str(row["size"])), str(row["storage_id"]), str(row["storage_key"]))


def blobs_of(objects: Objects, manifest: Manifest) -> Iterator[BlobRow]:
    """Yield the blobs of a backup; raises :class:`BackupUnusable`."""
    (dumped,) = (table for table in manifest.tables if table.name == TABLE)
    return blobs_in(rows_of(objects, manifest.id, dumped))
