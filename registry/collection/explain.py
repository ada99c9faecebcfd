"""Why something is kept, by which chain of roots, and when it will go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, exists, select, union_all

from registry.access.actors import Actor
from registry.access.authorizer import AccessRequest, Action, Authorizer
from registry.collection.roots import FOR_EVER, Place, Root, Walk, place
from registry.content.leases import MANIFEST_REVIEW
from registry.content.reviews import Reviews
from registry.db.engine import Database
from registry.db.models import Blob, GcReview, Manifest, ManifestBlob, PurgedDigest, Repository, RepositoryBlob, Tag
from registry.db.models.content import LIVE
from registry.db.models.work import BLOB, MANIFEST
from registry.digest import Digest
from registry.errors import BlobUnknown
from registry.names import RepositoryName, TagName
from registry.repositories.current import explain_missing
from registry.repositories.repositories import require_repository

_SHOWN = 20
"""Of how many repositories, and of how many roots in each, an explanation speaks."""
_HOLDERS = (
    select(Repository.id, Repository.name)
    .where(
        Repository.id.in_(
            union_all(
                select(Manifest.repository_id).where(Manifest.digest == bindparam("digest")),
                select(RepositoryBlob.repository_id)
                .join(Blob, Blob.id == RepositoryBlob.blob_id)
                .where(Blob.digest == bindparam("digest")),
            )
        )
    )
    .order_by(Repository.id)
)
_HOLDERS_NAMED = _HOLDERS.where(Repository.name == bindparam("name"))
_MANIFEST = select(Manifest.id).where(
    Manifest.repository_id == bindparam("repository"), Manifest.digest == bindparam("digest")
)
_MEMBER = (
    select(RepositoryBlob.blob_id, RepositoryBlob.lease_until, RepositoryBlob.hidden_at)
    .join(Blob, Blob.id == RepositoryBlob.blob_id)
    .where(RepositoryBlob.repository_id == bindparam("repository"), Blob.digest == bindparam("digest"))
)
_TAGGED = exists().where(Tag.manifest_id == Manifest.id, Tag.current == 1, Tag.lifetime_end_ms.is_(None))
_NAMING = (
    select(Manifest.id)
    .join(ManifestBlob, ManifestBlob.manifest_id == Manifest.id)
    .where(ManifestBlob.repository_id == bindparam("repository"), ManifestBlob.digest == bindparam("digest"))
    .order_by(_TAGGED.desc(), Manifest.id.desc())
)
_LAST_PERIOD = (
    select(Tag.digest)
    .where(Tag.repository_id == bindparam("repository"), Tag.name == bindparam("tag"))
    .order_by(Tag.lifetime_start_ms.desc())
    .limit(1)
)
_REVIEW = select(GcReview.due_ms).where(
    GcReview.kind == bindparam("kind"),
    GcReview.repository_id == bindparam("repository"),
    GcReview.target == bindparam("target"),
)
_REVIEWS = (
    select(Manifest.digest, GcReview.due_ms)
    .join(GcReview, MANIFEST_REVIEW)
    .where(
        Manifest.repository_id == bindparam("repository"),
        Manifest.digest.in_(bindparam("digests", expanding=True)),
    )
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

    def __init__(self, database: Database, authorizer: Authorizer, reviews: Reviews, *, window_ms: int) -> None:
        """Explain as the collector with the same window decides; only what ``authorizer`` lets the actor pull."""
        self._database = database
        self._authorizer = authorizer
        self._grace_ms = reviews.grace_ms
        self._window_ms = window_ms

    def explain_tag(self, actor: Actor, repository: RepositoryName, tag: TagName) -> Explained:
        """Explain the manifest that a tag stands for, or last stood for.

        Raises :class:`~registry.errors.ManifestUnknown` where the tag never was, or what it stood for is gone.
        """
        self._authorizer.require(actor, Action.PULL, repository, tag.value)
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            values = {"repository": repository_id, "tag": tag.value}
            digest = connection.scalar(_LAST_PERIOD, values)
            there = connection.scalar(_MANIFEST, {"repository": repository_id, "digest": digest})
            if digest is None or there is None:
                raise explain_missing(connection, repository_id, tag)
        return self.explain(actor, Digest.parse(digest), repository)

    def explain(self, actor: Actor, digest: Digest, repository: RepositoryName | None = None) -> Explained:
        """Explain a manifest or blob, in one repository or in all; raises :class:`BlobUnknown` where it is nowhere."""
        self._authorizer.require(actor, Action.ADMIN if repository is None else Action.PULL, repository, str(digest))
        of = {"digest": str(digest)}
        with self._database.read() as connection:
            if repository is None:
                holders = connection.execute(_HOLDERS, of).all()
            else:
                holders = connection.execute(_HOLDERS_NAMED, {**of, "name": repository.value}).all()
            state = connection.scalar(_BLOB, of)
            purged = connection.scalar(_PURGED, of)
        asked = [AccessRequest(actor, Action.PULL, RepositoryName(row.name), str(digest)) for row in holders]
        decisions = self._authorizer.authorize(asked)
        shown = [row.id for row, decision in zip(holders, decisions, strict=True) if decision.allowed][:_SHOWN]
        if not shown and purged is None and (state is None or repository is not None):
            raise BlobUnknown("no manifest and no blob has this digest", detail=of)
        with self._database.read() as connection:
            now = self._database.now(connection)
            places = [one for row_id in shown for one in self._in(connection, now, row_id, str(digest))]
        return Explained(str(digest), places, state or LIVE, purged)

    def _in(self, connection: Connection, now: int, repository_id: int, digest: str) -> Iterator[Explanation]:
        where = place(connection, repository_id, self._window_ms)
        if where is None:
            return
        of = {"repository": repository_id, "digest": digest}
        manifest_id = connection.scalar(_MANIFEST, of)
        if manifest_id is not None:
            roots = list(Walk(connection, where, now).roots(manifest_id))
            due = self._due(connection, MANIFEST, where, manifest_id)
            yield self._explained(connection, now, where, MANIFEST, roots, due)
        member = connection.execute(_MEMBER, of).first()
        if member is not None:
            roots = [Root("lease", "a push used it", member.lease_until, (digest,))]
            roots += self._above(connection, now, where, digest)
            kind = BLOB if member.hidden_at is None else "deleted blob"
            yield self._explained(
                connection, now, where, kind, roots, self._due(connection, BLOB, where, member.blob_id)
            )

    @staticmethod
    def _above(connection: Connection, now: int, where: Place, digest: str) -> Sequence[Root]:
        """Return the longest roots of the manifests that name a blob; one without an end says it all."""
        found: list[Root] = []
        for manifest_id in connection.scalars(_NAMING, {"repository": where.repository_id, "digest": digest}).all():
            above = Walk(connection, where, now).roots(manifest_id)
            found += [Root(root.kind, root.detail, root.until, (digest, *root.path)) for root in above]
            found = sorted(found, key=lambda root: -root.until)[:_SHOWN]
            if found and found[0].until >= FOR_EVER:
                break
        return found

    @staticmethod
    def _due(connection: Connection, kind: str, where: Place, target: int) -> int | None:
        return connection.scalar(_REVIEW, {"kind": kind, "repository": where.repository_id, "target": target})

    def _explained(
        self, connection: Connection, now: int, where: Place, kind: str, roots: Sequence[Root], due: int | None
    ) -> Explanation:
        """Keep, of roots that are over, only the one that ended last."""
        ordered = sorted(roots, key=lambda root: -root.until)
        shown = ([root for root in ordered if root.until > now] or ordered[:1])[:_SHOWN]
        until = None if shown[0].until >= FOR_EVER else shown[0].until
        goes = None
        if until is not None:
            goes = max(until, due or now, now)
            if where.deleted_at is None:
                goes = max(goes, self._turn(connection, where, kind, shown, due))
        return Explanation(where.name, kind, shown[0].path[0], shown, until, goes)

    def _turn(self, connection: Connection, where: Place, kind: str, roots: Sequence[Root], due: int | None) -> int:
        """Return when the collector gets to it: a grace time after each thing above that has to go first."""
        names = sorted({digest for root in roots for digest in root.path})
        values = {"repository": where.repository_id, "digests": names}
        reviews = {row.digest: row.due_ms for row in connection.execute(_REVIEWS, values)}
        if kind == MANIFEST:
            return self._goes(roots, reviews)
        naming: dict[str, list[Root]] = {}
        for root in roots:
            if len(root.path) > 1:
                naming.setdefault(root.path[1], []).append(replace(root, path=root.path[1:]))
        turn = due or 0
        for gone in sorted(self._goes(above, reviews) for above in naming.values()):
            turn = gone + self._grace_ms if gone > turn else turn  # a turn that comes while it is named is lost
        return turn

    def _goes(self, roots: Sequence[Root], reviews: Mapping[str, int]) -> int:
        until = max(root.until for root in roots)
        paths = [root.path for root in roots if len(root.path) > 1] or [roots[0].path]
        turns = [self._goes_by(path, until, reviews) for path in paths]
        return max(turns) if paths[0][0] in reviews else min(turns)  # the first that goes leaves it a turn

    def _goes_by(self, path: Sequence[str], until: int, reviews: Mapping[str, int]) -> int:
        """Return when the first of ``path`` goes, where the last of it loses its hold at ``until``."""
        first, *above = path
        if first in reviews:  # it goes together with what is above, once all of that has had a turn
            unseen = any(digest not in reviews for digest in above)
            return max(until, reviews[first]) + (self._grace_ms if unseen else 0)
        return self._goes_by(above, until, reviews) + self._grace_ms if above else until
