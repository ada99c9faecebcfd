"""Blobs as the API shows them: where each is, and what names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import bindparam, func, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.content.members import NAMING
from registry.db.engine import Database
from registry.db.models import Blob, Manifest, Repository, RepositoryBlob
from registry.digest import Digest
from registry.errors import BlobUnknown
from registry.names import RepositoryName
from registry.repositories.repositories import require_repository

_NAMED_AT_MOST = 100
"""How many manifests or repositories are named; all are counted."""


class BlobRow(NamedTuple):
    """A blob as the database has it; the fields are columns of ``blob``."""

    id: int
    digest: str
    size: int
    state: str
    created_ms: int
    checked_ms: int | None


@dataclass(frozen=True, slots=True)
class Holders:
    """What has a blob: the first names of ``count``."""

    names: Sequence[str]
    count: int


_BLOB = select(*(getattr(Blob, column) for column in BlobRow._fields)).where(Blob.digest == bindparam("digest"))
_MEMBER = _BLOB.join(RepositoryBlob, RepositoryBlob.blob_id == Blob.id).where(
    RepositoryBlob.repository_id == bindparam("repository"), RepositoryBlob.hidden_at.is_(None)
)
_IN = (
    select(Repository.name)
    .join(RepositoryBlob, RepositoryBlob.repository_id == Repository.id)
    .where(RepositoryBlob.blob_id == bindparam("blob"), RepositoryBlob.hidden_at.is_(None), Repository.current == 1)
)
_REPOSITORIES = _IN.order_by(Repository.name).limit(_NAMED_AT_MOST)
_REPOSITORY_COUNT = _IN.with_only_columns(func.count())
_MANIFESTS = NAMING.order_by(Manifest.digest).limit(_NAMED_AT_MOST)
_MANIFEST_COUNT = NAMING.with_only_columns(func.count())


class BlobCatalogue:
    """Describes blobs."""

    def __init__(self, database: Database, authorizer: Authorizer) -> None:
        """Read from ``database``, as far as ``authorizer`` allows."""
        self._database = database
        self._authorizer = authorizer

    def describe(self, actor: Actor, digest: Digest) -> tuple[BlobRow, Holders]:
        """Return a blob and the repositories that have it; raises :class:`BlobUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, str(digest))
        with self._database.read() as connection:
            row = connection.execute(_BLOB, {"digest": str(digest)}).first()
            if row is None:
                raise BlobUnknown("no repository has this blob", detail={"digest": str(digest)})
            of = {"blob": row.id}
            names = connection.scalars(_REPOSITORIES, of).all()
            return BlobRow._make(row), Holders(names, connection.execute(_REPOSITORY_COUNT, of).scalar_one())

    def describe_in(self, actor: Actor, repository: RepositoryName, digest: Digest) -> tuple[BlobRow, Holders]:
        """Return a blob of a repository and the manifests there that name it.

        Raises :class:`BlobUnknown`, :class:`~registry.errors.NameUnknown`.
        """
        self._authorizer.require(actor, Action.PULL, repository, str(digest))
        with self._database.read() as connection:
            of = {"repository": require_repository(connection, repository), "digest": str(digest)}
            row = connection.execute(_MEMBER, of).first()
            if row is None:
                raise BlobUnknown(detail={"digest": str(digest)})
            names = connection.scalars(_MANIFESTS, of).all()
            return BlobRow._make(row), Holders(names, connection.execute(_MANIFEST_COUNT, of).scalar_one())
