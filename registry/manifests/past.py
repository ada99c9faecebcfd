"""Manifests as a repository's tags named them at a time, deleted ones included while they are kept."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.db.engine import Database
from registry.db.models import Manifest
from registry.errors import ManifestUnknown
from registry.manifests.pull_admission import Found, PullAdmission
from registry.manifests.reader import Accepted, ManifestReader, ServedManifest
from registry.names import Reference, RepositoryName, TagName
from registry.repositories.history import HistoryService
from registry.repositories.repositories import require_repository

_KEPT = select(Manifest.payload, Manifest.media_type, Manifest.digest, Manifest.id).where(
    Manifest.repository_id == bindparam("repository"), Manifest.digest == bindparam("digest")
)


class PastReader:
    """Serves manifests of the past."""

    def __init__(
        self, database: Database, authorizer: Authorizer, reader: ManifestReader, admission: PullAdmission
    ) -> None:
        """Convert as ``reader`` does, and hand out by tag what ``admission`` allows."""
        self._database = database
        self._authorizer = authorizer
        self._reader = reader
        self._admission = admission

    def get(
        self, actor: Actor, repository: RepositoryName, reference: Reference, accepted: Accepted, time_ms: int
    ) -> ServedManifest:
        """Return what ``reference`` named at a time (milliseconds).

        Raises :class:`ManifestUnknown` that says whether there was nothing, or it was removed for good since, and by
        tag :class:`~registry.errors.Denied`.
        """
        self._authorizer.require(actor, Action.PULL, repository, str(reference))
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            digest = str(reference)
            if isinstance(reference, TagName):
                digest = HistoryService.stood_for(connection, repository_id, reference, time_ms).digest
            row = connection.execute(_KEPT, {"repository": repository_id, "digest": digest}).first()
        if row is None:
            raise ManifestUnknown("the manifest is not here, or was removed for good since", detail={"digest": digest})
        stored = ServedManifest(row.payload, row.media_type, row.digest, row.id)
        if isinstance(reference, TagName) and (asked := self._admission.asked()):
            revision = self._admission.revision(row.id)
            found = Found(repository_id, row.id, row.digest, row.media_type, row.payload, revision)
            self._admission.require(asked, repository, reference, found, deleted=True)
        if isinstance(reference, TagName) and not accepted.includes(stored.media_type):
            return (
                self._reader.converted(repository, reference, repository_id, stored, accepted, deleted=True) or stored
            )
        return stored
