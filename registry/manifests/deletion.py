"""Deleting manifests: gone at once for clients, while their bytes stay restorable for the recovery window."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.content.reviews import Reviews
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Manifest
from registry.digest import Digest
from registry.errors import ManifestUnknown
from registry.events.outbox import Outbox
from registry.events.types import MANIFEST_DELETED
from registry.names import RepositoryName
from registry.repositories.periods import Periods
from registry.repositories.repositories import require_repository
from registry.repositories.tag_values import EndReason

_MANIFEST = table(Manifest)
_DELETE = (
    update(_MANIFEST)
    .where(
        _MANIFEST.c.repository_id == bindparam("b_repository"),
        _MANIFEST.c.digest == bindparam("b_digest"),
        _MANIFEST.c.deleted_at.is_(None),
    )
    .values(
        deleted_at=bindparam("b_now"),
        untagged_pin=False,
        label_pin=False,
        lease_until=bindparam("b_now"),
        last_pulled_at=None,
    )
    .returning(_MANIFEST.c.id)
)
ADOPT_REFERRERS = (
    update(_MANIFEST)
    .where(
        _MANIFEST.c.repository_id == bindparam("b_repository"),
        _MANIFEST.c.subject_digest.in_(bindparam("b_subjects", expanding=True)),
        _MANIFEST.c.untagged_pin,
    )
    .values(untagged_pin=False)
)
"""Lets referrers go with subjects that go: they were pushed at one time, and neither push saw the other."""


class ManifestDeletion:
    """Deletes manifests of repositories."""

    def __init__(
        self, database: Database, authorizer: Authorizer, periods: Periods, reviews: Reviews, outbox: Outbox
    ) -> None:
        """End tags with ``periods``; what was deleted is queued with ``reviews`` and told of by ``outbox``."""
        self._outbox = outbox
        self._database = database
        self._authorizer = authorizer
        self._periods = periods
        self._reviews = reviews

    def delete(self, actor: Actor, repository: RepositoryName, digest: Digest) -> None:
        """Delete a manifest and end all its tags.

        Raises :class:`ManifestUnknown`, :class:`~registry.errors.NameUnknown`, or
        :class:`~registry.errors.TagImmutable` where one of its tags must stay.
        """
        self._authorizer.require(actor, Action.DELETE, repository, str(digest))

        def work(connection: Connection) -> None:
            repository_id = require_repository(connection, repository)
            now = self._database.now(connection)
            if not self.delete_row(connection, now, repository_id, digest, EndReason.MANIFEST_DELETED, actor):
                raise ManifestUnknown(detail={"digest": str(digest)})

        self._database.write(work)

    def delete_row(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        digest: Digest,
        reason: EndReason,
        actor: Actor,
    ) -> bool:
        """Delete a manifest in the caller's transaction; returns whether it was there."""
        deleted = connection.execute(
            _DELETE, {"b_repository": repository_id, "b_digest": str(digest), "b_now": now}
        ).scalar()
        if deleted is None:
            return False
        told = {"reason": reason.value}
        self._outbox.record(connection, now, MANIFEST_DELETED, repository_id, str(digest), actor, told)
        connection.execute(ADOPT_REFERRERS, {"b_repository": repository_id, "b_subjects": [str(digest)]})
        self._periods.delete_of_manifest(connection, now, repository_id, deleted, reason, actor)
        self._reviews.after_window(connection, repository_id, [deleted], now)
        return True
