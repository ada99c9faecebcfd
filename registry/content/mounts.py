"""Mounting: a blob of one repository becomes one of another, without an upload (distribution-spec, end-11)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Row, bindparam, select

from registry.access.actors import Actor
from registry.access.authorizer import AccessRequest, Action, Authorizer
from registry.content.blobs import BlobService
from registry.db.engine import Database
from registry.db.models import Blob, Repository, RepositoryBlob
from registry.db.models.content import LIVE
from registry.digest import Digest
from registry.names import RepositoryName
from registry.repositories.repositories import ensure_repository

_ASKED_AT_MOST = 100
"""Of how many repositories it is asked whether a blob may be mounted from there, where the client names none."""
_SOURCES = (
    select(Repository.name, Blob.id, Blob.size)
    .join(RepositoryBlob, RepositoryBlob.repository_id == Repository.id)
    .join(Blob, Blob.id == RepositoryBlob.blob_id)
    .where(
        Blob.digest == bindparam("digest"),
        Blob.state == LIVE,
        RepositoryBlob.hidden_at.is_(None),
        Repository.current == 1,
    )
    .order_by(Repository.name)
    .limit(_ASKED_AT_MOST)
)
_SOURCE = _SOURCES.where(Repository.name == bindparam("source"))


class MountService:
    """Mounts blobs."""

    def __init__(self, database: Database, authorizer: Authorizer, blobs: BlobService) -> None:
        """Mount from repositories that ``authorizer`` lets the actor pull from."""
        self._database = database
        self._authorizer = authorizer
        self._blobs = blobs

    def mount(self, actor: Actor, digest: Digest, target: RepositoryName, source: RepositoryName | None) -> bool:
        """Make a blob of ``source`` (None: of any repository that the actor may pull) a member of ``target``.

        Returns False where that is not possible, whatever the reason: the client then uploads.
        """
        self._authorizer.require(actor, Action.PUSH, target, str(digest))
        with self._database.read() as connection:
            candidates = _sources(connection, digest, source)
        names = [RepositoryName(row.name) for row in candidates]
        decisions = self._authorizer.authorize([AccessRequest(actor, Action.PULL, name, str(digest)) for name in names])
        allowed = [name for name, decision in zip(names, decisions, strict=True) if decision.allowed]
        if not allowed:
            return False

        def work(connection: Connection) -> bool:
            found = _sources(connection, digest, allowed[0])
            if not found or not self._blobs.hold(connection, found[0].id):
                return False
            repository_id = ensure_repository(self._database, self._blobs.outbox, connection, target, actor)
            now = self._blobs.join(connection, repository_id, found[0].id)
            self._blobs.pushed(connection, now, repository_id, digest, found[0].size, actor, source=found[0].name)
            return True

        return self._database.write(work)


def _sources(connection: Connection, digest: Digest, source: RepositoryName | None) -> Sequence[Row[str, int, int]]:
    """Return repositories that can give the blob, ``source`` alone if that is given."""
    if source is None:
        return connection.execute(_SOURCES, {"digest": str(digest)}).all()
    return connection.execute(_SOURCE, {"digest": str(digest), "source": source.value}).all()
