"""Bringing deleted content back: a manifest, what it consists of, and the blobs that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import BindParameter, Connection, bindparam, select, update

from registry.access.actors import Actor
from registry.batches import batched
from registry.db.base import table
from registry.db.engine import Conflict
from registry.db.models import (
    Blob,
    Manifest,
    ManifestBlob,
    ManifestChild,
    PurgedDigest,
    Repository,
    RepositoryBlob,
)
from registry.errors import NotRestorable
from registry.events.outbox import Outbox
from registry.events.types import MANIFEST_RESTORED
from registry.manifests.labels import Judgement
from registry.manifests.rows import ContentChanged
from registry.manifests.stored_labels import mark

_MANIFEST, _MEMBER = table(Manifest), table(RepositoryBlob)
_IDS: BindParameter[list[int]] = bindparam("ids", expanding=True)
_B_IDS: BindParameter[list[int]] = bindparam("b_ids", expanding=True)
_LOCK = (
    select(Manifest.id, Manifest.digest, Manifest.deleted_at)
    .where(Manifest.id.in_(_IDS))
    .order_by(Manifest.id)
    .with_for_update()
)
_CHILDREN = (
    select(ManifestChild.digest, Manifest.id)
    .outerjoin(
        Manifest,
        (Manifest.repository_id == ManifestChild.repository_id) & (Manifest.digest == ManifestChild.digest),
    )
    .where(ManifestChild.manifest_id.in_(_IDS))
)
_WAKE = update(_MANIFEST).where(_MANIFEST.c.id.in_(_B_IDS)).values(deleted_at=None, lease_until=bindparam("b_lease"))
_PIN = update(_MANIFEST).where(_MANIFEST.c.id.in_(_B_IDS)).values(label_pin=True)
_HIDDEN = (
    select(RepositoryBlob.blob_id)
    .join(Blob, Blob.id == RepositoryBlob.blob_id)
    .join(
        ManifestBlob,
        (ManifestBlob.repository_id == RepositoryBlob.repository_id) & (ManifestBlob.digest == Blob.digest),
    )
    .where(ManifestBlob.manifest_id.in_(_IDS), RepositoryBlob.hidden_at.is_not(None))
    .distinct()
)
_SHOW = (
    update(_MEMBER)
    .where(_MEMBER.c.repository_id == bindparam("b_repository"), _MEMBER.c.blob_id.in_(_B_IDS))
    .values(hidden_at=None, lease_until=bindparam("b_lease"))
)
_SPARSE = select(Repository.allow_sparse).where(Repository.id == bindparam("repository"))
_WITH_CHILDREN = select(ManifestChild.manifest_id).where(ManifestChild.manifest_id.in_(_IDS)).distinct()
_PURGED = (
    select(ManifestBlob.manifest_id, ManifestBlob.digest)
    .join(PurgedDigest, PurgedDigest.digest == ManifestBlob.digest)
    .where(ManifestBlob.manifest_id.in_(_IDS))
)
_AT_ONCE = 500

PARTS_GONE = "parts of it were removed for good"
_Reach = tuple[set[int], set[str]]
"""The rows of all manifests that one consists of, and the digests of those that have no row."""


class Revival:
    """Undoes deletions of content, in the caller's transaction."""

    def __init__(self, outbox: Outbox, lease_ms: int, *, allow_sparse: bool) -> None:
        """Keep what comes back for a lease; where a repository ``allow_sparse``, parts of it may be missing."""
        self._outbox = outbox
        self._lease_ms = lease_ms
        self._allow_sparse = allow_sparse

    def revive(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        manifest_id: int,
        judgement: Judgement,
        actor: Actor,
    ) -> Sequence[str]:
        """Bring a manifest back with all that it reaches, and lease it; returns the digests that were deleted.

        Raises :class:`NotRestorable` that names the parts which are gone for good, and :class:`ContentChanged` where
        ``judgement`` is not of what is there now.
        """
        reached, missing = reach(connection, manifest_id)
        gone = self._gone(connection, repository_id, {manifest_id: (reached, missing)})
        if gone:
            raise NotRestorable(PARTS_GONE, detail={"missing": gone[manifest_id]})
        rows = connection.execute(_LOCK, {"ids": sorted(reached)}).all()
        if len(rows) != len(reached):
            raise Conflict  # some of it was collected since it was looked up
        lease = now + self._lease_ms
        connection.execute(_WAKE, {"b_ids": sorted(reached), "b_lease": lease})
        deleted = {row.digest: row.id for row in rows if row.deleted_at is not None}
        if mark(connection, manifest_id) != judgement.mark or not deleted.keys() <= judgement.pins.keys():
            raise ContentChanged
        pinned = sorted(row_id for digest, row_id in deleted.items() if judgement.pins[digest])
        if pinned:
            connection.execute(_PIN, {"b_ids": pinned})
        hidden = connection.scalars(_HIDDEN, {"ids": sorted(reached)}).all()
        if hidden:
            connection.execute(_SHOW, {"b_repository": repository_id, "b_ids": sorted(hidden), "b_lease": lease})
        for digest in deleted:
            self._outbox.record(connection, now, MANIFEST_RESTORED, repository_id, digest, actor, {})
        return list(deleted)

    def lacking(
        self, connection: Connection, repository_id: int, manifest_ids: Sequence[int]
    ) -> Mapping[int, Sequence[str]]:
        """Return, for those of some manifests that cannot come back, which of their parts are gone for good."""
        found: dict[int, _Reach] = {row_id: ({row_id}, set()) for row_id in manifest_ids}
        for ids in batched(sorted(found), _AT_ONCE):
            for row_id in connection.scalars(_WITH_CHILDREN, {"ids": ids}).all():
                found[row_id] = reach(connection, row_id)
        return self._gone(connection, repository_id, found)

    def _gone(
        self, connection: Connection, repository_id: int, found: Mapping[int, _Reach]
    ) -> Mapping[int, Sequence[str]]:
        """Return what is gone of manifests, given what each reaches: purged blobs, and children unless it is sparse."""
        own = connection.scalar(_SPARSE, {"repository": repository_id})
        sparse = self._allow_sparse if own is None else own
        purged: dict[int, set[str]] = {}
        for ids in batched(sorted({below for reached, _ in found.values() for below in reached}), _AT_ONCE):
            for row in connection.execute(_PURGED, {"ids": ids}):
                purged.setdefault(row.manifest_id, set()).add(row.digest)
        gone = {
            row_id: set().union(() if sparse else missing, *(purged.get(below, ()) for below in reached))
            for row_id, (reached, missing) in found.items()
        }
        return {row_id: sorted(digests) for row_id, digests in gone.items() if digests}


def reach(connection: Connection, manifest_id: int) -> _Reach:
    """Return the rows of all manifests that one consists of, itself included, and the digests that have none."""
    reached, missing, level = {manifest_id}, set[str](), [manifest_id]
    while level:
        below: set[int] = set()
        for row in connection.execute(_CHILDREN, {"ids": level}):
            if row.id is None:
                missing.add(row.digest)
            else:
                below.add(row.id)
        level = sorted(below - reached)
        reached |= below
    return reached, missing
