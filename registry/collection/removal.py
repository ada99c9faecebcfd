"""Removing rows: manifests in one step, blobs in two, repositories piece by piece.

Everything here runs in the caller's transaction, and queues what it may have orphaned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, and_, bindparam, delete, exists, not_, select, update

from registry.content.deletions import Deletions, Doomed
from registry.content.reviews import Reviews
from registry.db.base import table
from registry.db.models import (
    Blob,
    GcReview,
    LegacyImageRow,
    Manifest,
    ManifestBlob,
    ManifestChild,
    ManifestLegacyImage,
    Repository,
    RepositoryBlob,
    Rule,
    Tag,
    Upload,
    work,
)
from registry.db.models.content import DELETING
from registry.manifests.deletion import ADOPT_REFERRERS

_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_ID: BindParameter[Any] = bindparam("b_id")
_REPOSITORY: BindParameter[Any] = bindparam("repository")
_MANIFEST, _TAG, _LEGACY, _MEMBER, _BLOB, _UPLOAD, _REVIEW = (
    table(model) for model in (Manifest, Tag, LegacyImageRow, RepositoryBlob, Blob, Upload, GcReview)
)
_MANIFESTS = (
    select(Manifest.id, Manifest.digest, Manifest.deleted_at).where(Manifest.id.in_(_IDS)).order_by(Manifest.id)
)
_CHILD = table(ManifestChild)
_TELL_PARENTS = (
    update(_CHILD)
    .where(_CHILD.c.repository_id == _REPOSITORY, _CHILD.c.digest.in_(bindparam("digests", expanding=True)))
    .values(deleted_ms=bindparam("now"))
)
_FORGET_IN_TAGS = update(_TAG).where(_TAG.c.manifest_id.in_(_IDS)).values(manifest_id=None)
_LEGACY_OF = select(ManifestLegacyImage.legacy_image_id).where(ManifestLegacyImage.manifest_id.in_(_IDS)).distinct()
_FORGET_LEGACY = delete(_LEGACY).where(
    _LEGACY.c.id.in_(_IDS), not_(exists().where(ManifestLegacyImage.legacy_image_id == _LEGACY.c.id))
)
_CHILDREN = (
    select(Manifest.id)
    .join(
        ManifestChild,
        and_(ManifestChild.repository_id == Manifest.repository_id, ManifestChild.digest == Manifest.digest),
    )
    .where(ManifestChild.manifest_id.in_(_IDS), Manifest.id.not_in(_IDS))
)
_REFERRERS = select(Manifest.id).where(
    Manifest.repository_id == _REPOSITORY,
    Manifest.subject_digest.in_(bindparam("digests", expanding=True)),
    Manifest.id.not_in(_IDS),
)
_BLOBS_OF = (
    select(Blob.id).join(ManifestBlob, ManifestBlob.digest == Blob.digest).where(ManifestBlob.manifest_id.in_(_IDS))
).distinct()
_DELETE_MANIFESTS = delete(_MANIFEST).where(_MANIFEST.c.id.in_(_IDS))
_NAMED = exists().where(ManifestBlob.repository_id == RepositoryBlob.repository_id, ManifestBlob.digest == Blob.digest)
MEMBERSHIP = (
    select(RepositoryBlob.lease_until, _NAMED.label("named"), Blob.digest)
    .join(Blob, Blob.id == RepositoryBlob.blob_id)
    .where(RepositoryBlob.repository_id == _REPOSITORY, RepositoryBlob.blob_id == bindparam("blob"))
)
"""What keeps a blob in a repository: its lease, and whether a manifest names it."""
_LOCK_MEMBERSHIP = (
    select(RepositoryBlob.lease_until)
    .where(RepositoryBlob.repository_id == _REPOSITORY, RepositoryBlob.blob_id == bindparam("blob"))
    .with_for_update()
)
_FORGET_REVIEWS = delete(_REVIEW).where(
    _REVIEW.c.kind.in_([work.MANIFEST, work.BLOB]), _REVIEW.c.repository_id == bindparam("b_repository")
)
_LEAVE = delete(_MEMBER).where(_MEMBER.c.repository_id == bindparam("b_repository"), _MEMBER.c.blob_id == _ID)
_LOCK_BLOB = (
    select(Blob.id, Blob.size, Blob.state, Blob.storage_id, Blob.storage_key)
    .where(Blob.id == bindparam("blob"))
    .with_for_update()
)
_ANY_MEMBER = select(RepositoryBlob.repository_id).where(RepositoryBlob.blob_id == bindparam("blob")).limit(1)
_DOOM = update(_BLOB).where(_BLOB.c.id == _ID).values(state=DELETING)
_UPLOADS = select(Upload.id, Upload.storage_id, Upload.storage_key, Upload.handle, Upload.tail_etag)


@dataclass(slots=True)
class Freed:
    """What a run has removed: rows by kind, and the bytes that go with the blobs."""

    manifests: int = 0
    memberships: int = 0
    blobs: int = 0
    bytes: int = 0
    uploads: int = 0
    repositories: int = 0

    def add(self, other: Freed) -> None:
        """Count what ``other`` counts."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Removal:
    """Removes rows that nothing keeps; whoever calls has seen to that, under their locks."""

    def __init__(self, reviews: Reviews, deletions: Deletions) -> None:
        """Queue what may have been orphaned with ``reviews``, and bytes with ``deletions``."""
        self._reviews = reviews
        self._deletions = deletions

    def manifests(self, connection: Connection, now: int, repository_id: int, ids: Sequence[int]) -> Freed:
        """Remove manifests with their edges, labels and v1 images; tags' periods keep the digest alone."""
        of = {"ids": list(ids)}
        rows = connection.execute(_MANIFESTS, of).all()
        legacy = connection.scalars(_LEGACY_OF, of).all()
        children = connection.scalars(_CHILDREN, of).all()
        found = {**of, "repository": repository_id, "digests": [row.digest for row in rows]}
        referrers = connection.scalars(_REFERRERS, found).all()
        blobs = connection.scalars(_BLOBS_OF, of).all()
        deleted = [row.digest for row in rows if row.deleted_at is not None]
        living = [row.digest for row in rows if row.deleted_at is None]
        if referrers and living:  # those that came after a deletion stay by themselves
            connection.execute(ADOPT_REFERRERS, {"b_repository": repository_id, "b_subjects": living})
        connection.execute(_FORGET_IN_TAGS, of)
        connection.execute(_DELETE_MANIFESTS, of)
        if deleted:
            connection.execute(_TELL_PARENTS, {"repository": repository_id, "digests": deleted, "now": now})
        if legacy:
            connection.execute(_FORGET_LEGACY, {"ids": list(legacy)})
        # Not now: a client may just have heard that they exist, when no review of them was waiting yet.
        due = now + self._reviews.grace_ms
        self._reviews.manifests(connection, repository_id, [*children, *referrers], due)
        self._reviews.blobs(connection, repository_id, blobs, due)
        return Freed(manifests=len(rows))

    def membership(self, connection: Connection, now: int, repository_id: int, blob_id: int) -> Freed:
        """Take a blob out of a repository; the bytes go with the last membership."""
        connection.execute(_LEAVE, {"b_repository": repository_id, "b_id": blob_id})
        freed = Freed(memberships=1)
        freed.add(self.blob(connection, now, blob_id))
        return freed

    def blob(self, connection: Connection, now: int, blob_id: int) -> Freed:
        """Give up a blob that is in no repository any more: its bytes are queued, its row goes after them."""
        row = connection.execute(_LOCK_BLOB, {"blob": blob_id}).first()
        if row is None or row.state == DELETING:
            return Freed()
        if connection.execute(_ANY_MEMBER, {"blob": blob_id}).first() is not None:
            return Freed()
        connection.execute(_DOOM, {"b_id": blob_id})
        self._deletions.queue(connection, now, Doomed(row.storage_id, row.storage_key, blob_id=blob_id))
        return Freed(blobs=1, bytes=row.size)

    def uploads(self, connection: Connection, now: int, silent_since: int, limit: int) -> Freed:
        """Remove uploads that nobody has been heard of since ``silent_since``, at most ``limit``."""
        statement = _UPLOADS.where(Upload.deadline_ms < silent_since).order_by(Upload.deadline_ms)
        return self._uploads(connection, now, statement.limit(limit).with_for_update(skip_locked=True))

    def repository(self, connection: Connection, now: int, repository_id: int, limit: int) -> tuple[Freed, bool]:
        """Remove up to ``limit`` of each kind of a repository's rows, then itself; tells whether it is gone."""
        freed = self._uploads(connection, now, _UPLOADS.where(Upload.repository_id == repository_id).limit(limit))
        mine = select(Manifest.id).where(Manifest.repository_id == repository_id).order_by(Manifest.id).limit(limit)
        ids = connection.scalars(mine.with_for_update()).all()
        if ids:
            freed.add(self.manifests(connection, now, repository_id, ids))
        tags = select(Tag.id).where(Tag.repository_id == repository_id).limit(limit)
        ended = connection.execute(delete(_TAG).where(_TAG.c.id.in_(tags))).rowcount
        members = select(RepositoryBlob.blob_id).where(RepositoryBlob.repository_id == repository_id)
        blobs = connection.scalars(members.order_by(RepositoryBlob.blob_id).limit(limit)).all()
        for blob_id in blobs:
            freed.add(self.membership(connection, now, repository_id, blob_id))
        if max(len(ids), ended, len(blobs), freed.uploads) >= limit:
            return freed, False
        connection.execute(delete(_LEGACY).where(_LEGACY.c.repository_id == repository_id))
        connection.execute(delete(Rule).where(Rule.repository_id == repository_id))
        connection.execute(_FORGET_REVIEWS, {"b_repository": repository_id})
        connection.execute(delete(Repository).where(Repository.id == repository_id))
        freed.repositories = 1
        return freed, True

    def _uploads(self, connection: Connection, now: int, statement: Select[int, str, str, str, str]) -> Freed:
        rows = connection.execute(statement).all()
        for row in rows:
            self._deletions.queue(connection, now, Doomed(row.storage_id, row.storage_key, row.handle, row.tail_etag))
        if rows:
            connection.execute(delete(_UPLOAD).where(_UPLOAD.c.id.in_([row.id for row in rows])))
        return Freed(uploads=len(rows))


def lock_membership(connection: Connection, repository_id: int, blob_id: int) -> None:
    """Lock a blob's membership, so that what :data:`MEMBERSHIP` then tells stays true."""
    connection.execute(_LOCK_MEMBERSHIP, {"repository": repository_id, "blob": blob_id})
