"""The blobs of a repository, as a manifest may name them, and those that do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from registry.db.models import Blob, Manifest, ManifestBlob, RepositoryBlob
from registry.db.models.content import LIVE

_MEMBERS = (
    select(Blob.digest, Blob.id, Blob.size, Blob.storage_key)
    .join(RepositoryBlob, RepositoryBlob.blob_id == Blob.id)
    .where(
        RepositoryBlob.repository_id == bindparam("repository"),
        Blob.digest.in_(bindparam("digests", expanding=True)),
        Blob.state == LIVE,
    )
)
_VISIBLE = _MEMBERS.where(RepositoryBlob.hidden_at.is_(None))
NAMING = (
    select(Manifest.digest)
    .join(ManifestBlob, ManifestBlob.manifest_id == Manifest.id)
    .where(
        ManifestBlob.repository_id == bindparam("repository"),
        ManifestBlob.digest == bindparam("digest"),
        Manifest.deleted_at.is_(None),
    )
)
"""The digests of a repository's manifests that are not deleted and name a blob; add the order, and how many."""


@dataclass(frozen=True, slots=True)
class Member:
    """A blob that a manifest may name: row id, size in bytes and key."""

    blob_id: int
    size: int
    storage_key: str


def members(
    connection: Connection, repository_id: int, digests: Collection[str], *, hidden: bool = False
) -> Mapping[str, Member]:
    """Return the blobs among ``digests`` that the repository can serve, by digest; ``hidden``: deleted ones, too."""
    if not digests:
        return {}
    rows = connection.execute(
        _MEMBERS if hidden else _VISIBLE, {"repository": repository_id, "digests": sorted(digests)}
    )
    return {row.digest: Member(row.id, row.size, row.storage_key) for row in rows}
