"""Leases that a client takes by asking whether something is there.

Whoever hears "exists" before a push must still find it when the manifest comes. So where the collector is about
to look at it, and the client may push, the answer renews the lease; all other questions write nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import Connection, Update, and_, bindparam, update

from registry.access.actors import Actor
from registry.access.authorizer import AccessRequest, Action, Authorizer
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import GcReview, Manifest, RepositoryBlob
from registry.db.models.work import BLOB, MANIFEST
from registry.errors import InsufficientStorage, Unavailable
from registry.names import RepositoryName

_log = logging.getLogger(__name__)
_MEMBER, _MANIFEST = table(RepositoryBlob), table(Manifest)
_BLOB_LEASE = (
    update(_MEMBER)
    .where(
        _MEMBER.c.repository_id == bindparam("b_repository"),
        _MEMBER.c.blob_id == bindparam("b_target"),
        _MEMBER.c.hidden_at.is_(None),
    )
    .values(lease_until=bindparam("b_lease"))
)
_MANIFEST_LEASE = (
    update(_MANIFEST)
    .where(_MANIFEST.c.id == bindparam("b_target"), _MANIFEST.c.deleted_at.is_(None))
    .values(lease_until=bindparam("b_lease"))
)

BLOB_REVIEW = and_(
    GcReview.kind == BLOB,
    GcReview.repository_id == RepositoryBlob.repository_id,
    GcReview.target == RepositoryBlob.blob_id,
)
"""Joins the review of a blob in a repository, if one is queued."""
MANIFEST_REVIEW = and_(
    GcReview.kind == MANIFEST, GcReview.repository_id == Manifest.repository_id, GcReview.target == Manifest.id
)
"""Joins the review of a manifest, if one is queued."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a client asked for: its rows, when its lease ends, and when the collector looks at it (None: not to)."""

    repository_id: int
    target: int
    lease_until: int
    review: int | None


class Leases:
    """Renews leases for clients that ask."""

    def __init__(self, database: Database, authorizer: Authorizer, lease_ms: int) -> None:
        """Let what is asked for stay ``lease_ms`` milliseconds at least."""
        self._database = database
        self._authorizer = authorizer
        self._lease_ms = lease_ms

    def renew_blob(self, actor: Actor, repository: RepositoryName, digest: str, held: Held) -> bool:
        """Renew a blob's lease if that is called for; returns False where the blob went meanwhile."""
        return self._renew(_BLOB_LEASE, actor, repository, digest, held)

    def renew_manifest(self, actor: Actor, repository: RepositoryName, digest: str, held: Held) -> bool:
        """Renew a manifest's lease if that is called for; returns False where the manifest went meanwhile."""
        return self._renew(_MANIFEST_LEASE, actor, repository, digest, held)

    def _renew(self, statement: Update, actor: Actor, repository: RepositoryName, digest: str, held: Held) -> bool:
        if held.review is None:
            return True
        (decision,) = self._authorizer.authorize([AccessRequest(actor, Action.PUSH, repository, digest)])
        if not decision.allowed:
            return True

        def work(connection: Connection) -> bool:
            # Half a lease more than is promised, so that not every question writes.
            lease = self._database.now(connection) + self._lease_ms + self._lease_ms // 2
            values = {"b_repository": held.repository_id, "b_target": held.target, "b_lease": lease}
            return connection.execute(statement, values).rowcount == 1

        with self._database.read() as connection:
            promised = self._database.now(connection) + self._lease_ms
        if max(held.lease_until, held.review) >= promised:
            return True
        try:
            return self._database.write(work, durable=False)
        except (Unavailable, InsufficientStorage) as error:  # a pull must not fail because nothing can be written
            _log.warning("the lease of %s in %s was not renewed: %s", digest, repository, error.message)
            return True
