"""The rows of a manifest: written in one transaction, or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Update, bindparam, exists, insert, not_, or_, select, update

from registry.access.actors import Actor
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Label as LabelModel
from registry.db.models import Manifest, ManifestBlob, ManifestChild, Repository, RepositoryBlob, Tag
from registry.digest import Digest
from registry.events.outbox import Outbox
from registry.events.types import MANIFEST_PUSHED
from registry.hooks.types import ParsedManifest
from registry.manifests.labels import MANIFEST, AddedLabels, LabelRow
from registry.manifests.resolve import Resolved
from registry.manifests.stored_labels import MARK, added_labels
from registry.names import RepositoryName, TagName
from registry.repositories.current import alive
from registry.repositories.repositories import ensure_repository

_EXISTING = select(Manifest.id).where(
    Manifest.repository_id == bindparam("repository"), Manifest.digest == bindparam("digest")
)
_MANIFEST = table(Manifest)
_INSERT = insert(_MANIFEST).returning(_MANIFEST.c.id)
_WAKE = (
    update(_MANIFEST)
    .where(_MANIFEST.c.id == bindparam("b_id"))
    .values(deleted_at=None, lease_until=bindparam("b_lease"))
)
_PIN = update(_MANIFEST).where(_MANIFEST.c.id == bindparam("b_id")).values(label_pin=True)
_BLOB_EDGES, _CHILD_EDGES, _LABELS = (insert(table(model)) for model in (ManifestBlob, ManifestChild, LabelModel))
_MEMBER = table(RepositoryBlob)
_LEASE_BLOBS = (
    update(_MEMBER)
    .where(_MEMBER.c.repository_id == bindparam("b_repository"), _MEMBER.c.hidden_at.is_(None))
    .values(lease_until=bindparam("b_lease"))
)
_LEASE_CHILDREN = update(_MANIFEST).where(_MANIFEST.c.deleted_at.is_(None)).values(lease_until=bindparam("b_lease"))
_HOLD_SUBJECT = (
    select(_MANIFEST.c.id)
    .where(_MANIFEST.c.repository_id == bindparam("repository"), _MANIFEST.c.digest == bindparam("subject"))
    .with_for_update(read=True, key_share=True)
)
_PINNED = update(_MANIFEST).where(_MANIFEST.c.repository_id == bindparam("b_repository"), _MANIFEST.c.untagged_pin)
_ADOPT_REFERRERS = _PINNED.where(_MANIFEST.c.subject_digest == bindparam("b_digest")).values(untagged_pin=False)
_ADOPT_CHILDREN = _PINNED.where(_MANIFEST.c.digest.in_(bindparam("b_children", expanding=True))).values(
    untagged_pin=False
)


def _settle() -> Update:
    """Pin a manifest exactly while no living tag, no parent and no subject holds it."""
    subject, above = _MANIFEST.alias(), _MANIFEST.alias()
    tagged = exists().where(Tag.manifest_id == bindparam("b_id"), alive(bindparam("b_now")))
    parent = exists().where(
        ManifestChild.repository_id == bindparam("b_repository"),
        ManifestChild.digest == bindparam("b_digest"),
        ManifestChild.manifest_id == above.c.id,
        above.c.deleted_at.is_(None),
    )
    referred = exists().where(
        subject.c.repository_id == bindparam("b_repository"),
        subject.c.digest == bindparam("b_subject"),
        subject.c.deleted_at.is_(None),
    )
    held = or_(tagged, parent, referred)
    return update(_MANIFEST).where(_MANIFEST.c.id == bindparam("b_id")).values(untagged_pin=not_(held))


_SETTLE = _settle()
_PLACE = (
    select(Repository.id, Repository.allow_sparse, Manifest.id, Manifest.deleted_at)
    .outerjoin(
        Manifest,
        (Manifest.repository_id == Repository.id) & (Manifest.digest == bindparam("digest")),
    )
    .where(Repository.name == bindparam("name"), Repository.current == 1)
)


class ContentChanged(Exception):
    """A blob or child that was there is gone, or labels are others: what was prepared must be prepared again."""


@dataclass(frozen=True, slots=True)
class ManifestRecord:
    """A stored manifest; ``size`` in bytes, ``subject`` is the digest of the manifest it refers to, if any."""

    manifest_id: int
    digest: Digest
    media_type: str
    size: int
    subject: Digest | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a manifest is going: the repository, if it exists, its own word on sparse manifests, and what it has."""

    repository_id: int | None
    allow_sparse: bool | None
    known: bool
    added: AddedLabels


class ManifestRows:
    """Writes a manifest and what belongs to it."""

    def __init__(self, database: Database, outbox: Outbox, lease_ms: int) -> None:
        """Lease what is named for ``lease_ms`` milliseconds; tell of pushes by ``outbox``."""
        self._outbox = outbox
        self._database = database
        self._wake = database.prepare_change(_WAKE)
        self._adopt_referrers = database.prepare_change(_ADOPT_REFERRERS)
        self._settle = database.prepare_change(_SETTLE)
        self._mark = database.prepare(MARK)
        self._find = database.prepare(_EXISTING)
        self._find_place = database.prepare(_PLACE)
        self._hold_subject = database.prepare(_HOLD_SUBJECT)
        self._lease_blobs = database.prepare_change(_LEASE_BLOBS.where(database.among(_MEMBER.c.blob_id, "b_ids")))
        self._lease_children = database.prepare_change(_LEASE_CHILDREN.where(database.among(_MANIFEST.c.id, "b_ids")))
        self._lease_ms = lease_ms

    def place(self, connection: Connection, name: RepositoryName, digest: Digest) -> Place:
        """Look up what is known before the push."""
        row = self._find_place(connection, {"name": name.value, "digest": str(digest)})
        if row is None:
            return Place(None, None, known=False, added=AddedLabels())
        there: int | None = row[2]  # none where the outer join found none
        added = 0 if there is None else self._count_added(connection, there)[0]
        labels = added_labels(connection, there) if there is not None and added else AddedLabels()
        allow_sparse = None if row[1] is None else bool(row[1])
        return Place(row[0], allow_sparse, there is not None and row[3] is None, labels)

    def repository(self, connection: Connection, actor: Actor, name: RepositoryName) -> int:
        """Return the repository's id; its first push makes it."""
        return ensure_repository(self._database, self._outbox, connection, name, actor)

    def pushed(
        self,
        connection: Connection,
        now: int,
        actor: Actor,
        repository_id: int,
        record: ManifestRecord,
        artifact_type: str,
        tags: Sequence[TagName],
        *,
        created: bool,
    ) -> None:
        """Tell of a push to ``tags``."""
        told = {
            "mediaType": record.media_type,
            "artifactType": artifact_type,
            "size": record.size,
            "refersTo": str(record.subject) if record.subject is not None else None,
            "tags": [tag.value for tag in tags],
            "created": created,
        }
        digest = str(record.digest)
        self._outbox.record(connection, now, MANIFEST_PUSHED, repository_id, digest, actor, told)

    def lease(self, connection: Connection, repository_id: int, found: Resolved) -> None:
        """Lock and lease all that the manifest names; raises :class:`ContentChanged` where some of it went."""
        lease = self._database.now(connection) + self._lease_ms
        blob_ids = sorted({member.blob_id for member in found.members.values()})
        if blob_ids:
            values = {"b_repository": repository_id, "b_ids": self._database.listed(blob_ids), "b_lease": lease}
            if self._lease_blobs(connection, values) != len(blob_ids):
                raise ContentChanged
        child_ids = sorted(set(found.child_ids.values()))
        if child_ids:
            values = {"b_ids": self._database.listed(child_ids), "b_lease": lease}
            if self._lease_children(connection, values) != len(child_ids):
                raise ContentChanged

    def upsert(
        self,
        connection: Connection,
        actor: Actor,
        repository_id: int,
        manifest: ParsedManifest,
        digest: Digest,
        found: Resolved,
    ) -> tuple[ManifestRecord, bool]:
        """Insert the manifest, or wake the row that is there; tells whether it is new."""
        now = self._database.now(connection)
        subject = manifest.subject.digest if manifest.subject is not None else None
        existing = self._find(connection, {"repository": repository_id, "digest": str(digest)})
        if existing is not None:
            self._wake(connection, {"b_id": existing[0], "b_lease": now + self._lease_ms})
            record = ManifestRecord(existing[0], digest, manifest.media_type, len(manifest.payload), subject)
            return record, False
        values = {
            "repository_id": repository_id,
            "digest": str(digest),
            "media_type": manifest.media_type,
            "size": len(manifest.payload),
            "artifact_type": manifest.artifact_type,
            "config_media_type": manifest.config.media_type if manifest.config is not None else "",
            "subject_digest": str(subject or ""),
            "annotations": json.dumps(dict(manifest.annotations), ensure_ascii=False),
            "layers_size": found.layers_size,
            "actor": actor.principal,
            "untagged_pin": False,
            "label_pin": False,
            "lease_until": now + self._lease_ms,
            "created_ms": now,
            "payload": manifest.payload,
        }
        manifest_id: int = connection.execute(_INSERT, values).scalar_one()
        record = ManifestRecord(manifest_id, digest, manifest.media_type, len(manifest.payload), subject)
        return record, True

    def edges(
        self,
        connection: Connection,
        record: ManifestRecord,
        repository_id: int,
        blobs: Sequence[str],
        children: Sequence[str],
    ) -> None:
        """Insert the edges to blobs and children, each digest once."""
        for statement, digests in ((_BLOB_EDGES, blobs), (_CHILD_EDGES, children)):
            rows = [
                {"manifest_id": record.manifest_id, "digest": digest, "repository_id": repository_id}
                for digest in dict.fromkeys(digests)
            ]
            if rows:
                connection.execute(statement, rows)

    def labels(self, connection: Connection, record: ManifestRecord, labels: Sequence[LabelRow]) -> None:
        """Insert the manifest's own labels."""
        if labels:
            connection.execute(
                _LABELS,
                [
                    {
                        "manifest_id": record.manifest_id,
                        "key": label.key,
                        "value": label.value,
                        "media_type": label.media_type,
                        "source": MANIFEST,
                        "warning": label.warning,
                    }
                    for label in labels
                ],
            )

    def mark(self, connection: Connection, record: ManifestRecord) -> tuple[int, int]:
        """Return the mark of the labels that the API has added to the manifest."""
        return self._count_added(connection, record.manifest_id)

    def _count_added(self, connection: Connection, manifest_id: int) -> tuple[int, int]:
        count, last = self._mark(connection, {"manifest": manifest_id}) or (0, 0)
        return count, last

    def pin(self, connection: Connection, record: ManifestRecord) -> None:
        """Keep the manifest for as long as a label says so."""
        connection.execute(_PIN, {"b_id": record.manifest_id})

    def settle_pins(
        self, connection: Connection, repository_id: int, record: ManifestRecord, children: Sequence[str]
    ) -> None:
        """Pin the manifest while no living tag, parent or subject keeps it; take over those that wait for it.

        Who is just about to remove the subject waits until the manifest is there to be seen. A subject that is only
        coming, unseen, takes it over when it goes again: see :data:`registry.manifests.deletion.ADOPT_REFERRERS`.
        """
        if record.subject is not None:
            self._hold_subject(connection, {"repository": repository_id, "subject": str(record.subject)})
        wanted: dict[str, object] = {"b_repository": repository_id, "b_digest": str(record.digest)}
        self._adopt_referrers(connection, wanted)
        if children:
            connection.execute(_ADOPT_CHILDREN, {"b_repository": repository_id, "b_children": list(children)})
        self._settle(
            connection,
            {
                **wanted,
                "b_id": record.manifest_id,
                "b_now": self._database.now(connection),
                "b_subject": str(record.subject or ""),
            },
        )
