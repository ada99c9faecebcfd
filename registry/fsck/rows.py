"""What must not be of blobs and of their memberships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, exists, func, not_, or_, select

from registry.db.models import (
    Blob,
    GcReview,
    ManifestBlob,
    PurgedDigest,
    Repository,
    RepositoryBlob,
    StorageDeletion,
)
from registry.db.models.content import DAMAGED, DELETING, LIVE
from registry.db.models.work import BLOB
from registry.fsck.findings import Kind, Severity
from registry.fsck.repairs import Repairs
from registry.fsck.scanning import AnySelect, Fault

_BLOB_COLUMNS = (Blob.id.label("at"), Blob.digest, Blob.state, Blob.storage_id, Blob.storage_key)
_HELD = exists().where(RepositoryBlob.blob_id == Blob.id)
_QUEUED = exists().where(StorageDeletion.storage_id == Blob.storage_id, StorageDeletion.storage_key == Blob.storage_key)
_PURGED = exists().where(PurgedDigest.digest == Blob.digest)


def _blob(kind: Kind, condition: Any, detail: str, **more: Any) -> Fault:  # noqa: ANN401 - any condition, any field
    return Fault(kind, select(*_BLOB_COLUMNS).where(condition), Blob.id, None, "blob {digest}", detail, **more)


def blob_faults(repairs: Repairs, storage_id: str) -> Sequence[Fault]:
    """Return what must not be of blobs, as seen by the store ``storage_id``."""
    going, unused = Blob.state == DELETING, and_(Blob.state != DELETING, not_(_HELD))
    unknown = or_(Blob.state.not_in([LIVE, DAMAGED, DELETING]), Blob.size < 0)
    elsewhere = and_(not_(going), Blob.storage_id != storage_id)
    stands = "its bytes are in the store {storage_id}, and this registry's is " + storage_id
    nobody = "no repository has it, and nothing would remove it"
    in_use = "it is in use, and its bytes are queued for deletion"
    stuck = "its bytes are given up, and nobody removes them"
    purged = "it was purged, and is here: purge it again"
    return (
        _blob(Kind.BLOB_ROW, unknown, "its state is {state}, or its size is negative"),
        _blob(Kind.BLOB_ELSEWHERE, elsewhere, stands),
        _blob(Kind.BLOB_UNUSED, unused, nobody, repair=repairs.give_up),
        _blob(Kind.BLOB_DOOMED, and_(Blob.state == LIVE, _QUEUED), in_use, repair=repairs.keep_bytes),
        _blob(Kind.BLOB_STUCK, and_(going, not_(_QUEUED)), stuck, repair=repairs.queue_deletion),
        _blob(Kind.BLOB_GOING, and_(going, _HELD), "its bytes are given up, and a repository has it"),
        _blob(Kind.PURGED_HERE, and_(not_(going), _PURGED), purged),
    )


def shared_keys(keys: Sequence[str]) -> AnySelect:
    """Return the statement for blobs that have one of these keys."""
    return select(Blob.id, Blob.digest, Blob.storage_key).where(Blob.storage_key.in_(keys)).order_by(Blob.id)


def member_faults(repairs: Repairs, lease_ms: int) -> Sequence[Fault]:
    """Return what must not be of memberships; a lease is at most ``lease_ms`` milliseconds long."""
    columns = (
        RepositoryBlob.blob_id.label("at"),
        RepositoryBlob.repository_id,
        func.coalesce(Repository.name, "a repository that is gone").label("repository"),
        func.coalesce(Blob.digest, "a blob that is gone").label("digest"),
        RepositoryBlob.lease_until,
    )
    rows = (
        select(*columns)
        .outerjoin(Blob, Blob.id == RepositoryBlob.blob_id)
        .outerjoin(Repository, Repository.id == RepositoryBlob.repository_id)
    )
    named = exists().where(
        ManifestBlob.repository_id == RepositoryBlob.repository_id, ManifestBlob.digest == Blob.digest
    )
    reviewed = exists().where(
        GcReview.kind == BLOB,
        GcReview.repository_id == RepositoryBlob.repository_id,
        GcReview.target == RepositoryBlob.blob_id,
    )

    def member(kind: Kind, condition: Any, detail: str, **more: Any) -> Fault:  # noqa: ANN401 - any condition, any field
        repository, subject = RepositoryBlob.repository_id, "{digest} in {repository}"
        return Fault(kind, rows.where(condition), RepositoryBlob.blob_id, repository, subject, detail, **more)

    return (
        member(
            Kind.MEMBER_OF_NOTHING,
            or_(Blob.id.is_(None), Repository.id.is_(None)),
            "blob {at} or repository {repository_id} has no row",
            repair=repairs.leave,
        ),
        member(
            Kind.MEMBER_UNREVIEWED,
            and_(Repository.current == 1, not_(named), not_(reviewed)),
            "no manifest names it, and nothing would remove it",
            repair=repairs.review_blob,
        ),
        member(
            Kind.LEASE_AHEAD,
            RepositoryBlob.lease_until > bindparam("now") + lease_ms,
            "it is leased until {lease_until}, longer than leases are",
            severity=Severity.NOTE,
        ),
    )
