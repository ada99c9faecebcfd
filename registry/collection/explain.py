"""Why something is kept, by which chain of roots, and when it will go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from registry.access.actors import Actor
from registry.access.authorizer import AccessRequest, Action, Authorizer
from registry.collection.roots import FOR_EVER, Place, Root, Walk, place
from registry.db.engine import Database
from registry.db.models import Blob, GcReview, Manifest, ManifestBlob, PurgedDigest, RepositoryBlob
from registry.db.models.content import LIVE
from registry.db.models.work import BLOB, MANIFEST
from registry.digest import Digest
from registry.errors import BlobUnknown
from registry.names import RepositoryName, TagName
from registry.repositories.periods import explain_missing, find_current
from registry.repositories.repositories import require_repository

_SHOWN = 20
"""Of how many repositories, and how many manifests that name a blob, an explanation speaks."""
_MANIFESTS = (
    select(Manifest.id, Manifest.repository_id)
    .where(Manifest.digest == bindparam("digest"))
    .order_by(Manifest.repository_id)
)
_MEMBERS = (
    select(RepositoryBlob.repository_id, RepositoryBlob.blob_id, RepositoryBlob.lease_until, RepositoryBlob.hidden_at)
    .join(Blob, Blob.id == RepositoryBlob.blob_id)
    .where(Blob.digest == bindparam("digest"))
    .order_by(RepositoryBlob.repository_id)
)
_NAMING = (
    select(Manifest.id)
    .join(ManifestBlob, ManifestBlob.manifest_id == Manifest.id)
    .where(ManifestBlob.repository_id == bindparam("repository"), ManifestBlob.digest == bindparam("digest"))
    .order_by(Manifest.id.desc())
)
_REVIEW = select(GcReview.due_ms).where(
    GcReview.kind == bindparam("kind"),
    GcReview.repository_id == bindparam("repository"),
    GcReview.target == bindparam("target"),
)
_BLOB = select(Blob.state).where(Blob.digest == bindparam("digest"))
_PURGED = select(PurgedDigest.reason).where(PurgedDigest.digest == bindparam("digest"))


@dataclass(frozen=True, slots=True)
class Explanation:
    """What holds for a digest in one repository.

    ``roots`` come longest first. ``until`` is when the last of them ends (None: never); ``goes`` is when the
    collector will take it (None: it is not known to go). Times are in milliseconds.
    """

    repository: str
    kind: str
    digest: str
    roots: Sequence[Root]
    until: int | None
    goes: int | None


@dataclass(frozen=True, slots=True)
class Explained:
    """All that is known of a digest: by repository, and whether its bytes are just going or were purged."""

    digest: str
    places: Sequence[Explanation]
    state: str
    purged: str | None


class Explainer:
    """Explains what the collector would decide."""

    def __init__(self, database: Database, authorizer: Authorizer, *, window_ms: int) -> None:
        """Explain as the collector with the same window decides; only what ``authorizer`` lets the actor pull."""
        self._database = database
        self._authorizer = authorizer
        self._window_ms = window_ms

    def explain_tag(self, actor: Actor, repository: RepositoryName, tag: TagName) -> Explained:
        """Explain the manifest that a tag stands for, or last stood for.

        Raises :class:`~registry.errors.ManifestUnknown` where the tag never was.
        """
        self._authorizer.require(actor, Action.PULL, repository, tag.value)
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            row = find_current(connection, repository_id, tag)
            if row is None:
                raise explain_missing(connection, repository_id, tag)
        return self.explain(actor, Digest.parse(row.digest), repository)

    def explain(self, actor: Actor, digest: Digest, repository: RepositoryName | None = None) -> Explained:
        """Explain a manifest or blob, in one repository or in all; raises :class:`BlobUnknown` where it is nowhere."""
        self._authorizer.require(actor, Action.LIST if repository is None else Action.PULL, repository, str(digest))
        with self._database.read() as connection:
            now = self._database.now(connection)
            found = [*self._manifests(connection, now, str(digest)), *self._blobs(connection, now, str(digest))]
            state = connection.scalar(_BLOB, {"digest": str(digest)})
            purged = connection.scalar(_PURGED, {"digest": str(digest)})
        if repository is not None:
            found = [one for one in found if one.repository == repository.value]
        shown = self._allowed(actor, digest, found)[:_SHOWN]
        if not shown and state is None and purged is None:
            raise BlobUnknown("no manifest and no blob has this digest", detail={"digest": str(digest)})
        return Explained(str(digest), shown, state or LIVE, purged)

    def _allowed(self, actor: Actor, digest: Digest, found: Sequence[Explanation]) -> Sequence[Explanation]:
        asked = [AccessRequest(actor, Action.PULL, RepositoryName(one.repository), str(digest)) for one in found]
        return [one for one, decision in zip(found, self._authorizer.authorize(asked), strict=True) if decision.allowed]

    def _manifests(self, connection: Connection, now: int, digest: str) -> Iterator[Explanation]:
        for row in connection.execute(_MANIFESTS, {"digest": digest}).all():
            where = place(connection, row.repository_id, self._window_ms)
            if where is not None:
                roots = list(Walk(connection, where, now).roots(row.id))
                due = self._due(connection, MANIFEST, where, row.id)
                yield _explained(now, where, MANIFEST, digest, roots, due)

    def _blobs(self, connection: Connection, now: int, digest: str) -> Iterator[Explanation]:
        for row in connection.execute(_MEMBERS, {"digest": digest}).all():
            where = place(connection, row.repository_id, self._window_ms)
            if where is None:
                continue
            naming = connection.scalars(_NAMING, {"repository": row.repository_id, "digest": digest}).fetchmany(_SHOWN)
            roots = [Root("lease", "a push used it", row.lease_until, (digest,))]
            for manifest_id in naming:
                above = Walk(connection, where, now).roots(manifest_id)
                roots += [Root(root.kind, root.detail, root.until, (digest, *root.path)) for root in above]
            kind = BLOB if row.hidden_at is None else "deleted blob"
            yield _explained(now, where, kind, digest, roots, self._due(connection, BLOB, where, row.blob_id))

    @staticmethod
    def _due(connection: Connection, kind: str, where: Place, target: int) -> int | None:
        return connection.scalar(_REVIEW, {"kind": kind, "repository": where.repository_id, "target": target})


def _explained(now: int, where: Place, kind: str, digest: str, roots: Sequence[Root], due: int | None) -> Explanation:
    """Keep, of roots that are over, only the one that ended last."""
    ordered = sorted(roots, key=lambda root: -root.until)
    shown = [root for root in ordered if root.until > now] or ordered[:1]
    last = shown[0].until if shown else now
    until = None if last >= FOR_EVER else last
    goes = None if until is None else max(until, due or now, now)
    return Explanation(where.name, kind, digest, shown[:_SHOWN], until, goes)
