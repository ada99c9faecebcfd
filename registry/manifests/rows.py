"""The rows of a manifest: written in one transaction, or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, exists, insert, or_, select, update

from registry.access.actors import Actor
from registry.content.blobs import BlobService
from registry.db.engine import Database
from registry.db.models import Label, Manifest, ManifestBlob, ManifestChild, RepositoryBlob, Tag
from registry.digest import Digest
from registry.hooks.types import ParsedManifest
from registry.manifests.labels import LabelRow
from registry.manifests.resolve import Resolved
from registry.names import RepositoryName
from registry.repositories.repositories import ensure_repository

_EXISTING = select(Manifest.id).where(
    Manifest.repository_id == bindparam("repository"), Manifest.digest == bindparam("digest")
)


class ContentChanged(Exception):
    """A blob or child that was there is gone: the push must look again."""


@dataclass(frozen=True, slots=True)
class ManifestRecord:
    """A stored manifest; ``size`` in bytes, ``subject`` is the digest of the manifest it refers to, if any."""

    manifest_id: int
    digest: Digest
    media_type: str
    size: int
    subject: Digest | None


class ManifestRows:
    """Writes a manifest and what belongs to it."""

    def __init__(self, database: Database, blobs: BlobService, lease_ms: int) -> None:
        """Lease what is named for ``lease_ms`` milliseconds."""
        self._database = database
        self._blobs = blobs
        self._lease_ms = lease_ms

    def repository(self, connection: Connection, name: RepositoryName) -> int:
        """Return the repository's id; its first push makes it."""
        return ensure_repository(self._database, connection, name)

    def lease(self, connection: Connection, repository_id: int, found: Resolved) -> None:
        """Lock and lease all that the manifest names; raises :class:`ContentChanged` where some of it went."""
        lease = self._database.now(connection) + self._lease_ms
        blob_ids = sorted({member.blob_id for member in found.members.values()})
        if blob_ids:
            kept = connection.execute(
                update(RepositoryBlob)
                .where(
                    RepositoryBlob.repository_id == repository_id,
                    RepositoryBlob.blob_id.in_(blob_ids),
                    RepositoryBlob.hidden_at.is_(None),
                )
                .values(lease_until=lease)
            )
            if kept.rowcount != len(blob_ids):
                raise ContentChanged
        child_ids = sorted(set(found.child_ids.values()))
        if child_ids:
            kept = connection.execute(
                update(Manifest)
                .where(Manifest.id.in_(child_ids), Manifest.deleted_at.is_(None))
                .values(lease_until=lease)
            )
            if kept.rowcount != len(child_ids):
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
        existing = connection.execute(_EXISTING, {"repository": repository_id, "digest": str(digest)}).scalar()
        if existing is not None:
            connection.execute(
                update(Manifest)
                .where(Manifest.id == existing)
                .values(deleted_at=None, lease_until=now + self._lease_ms)
            )
            record = ManifestRecord(existing, digest, manifest.media_type, len(manifest.payload), subject)
            return record, False
        manifest_id: int = connection.execute(
            insert(Manifest)
            .values(
                repository_id=repository_id,
                digest=str(digest),
                media_type=manifest.media_type,
                size=len(manifest.payload),
                artifact_type=manifest.artifact_type,
                config_media_type=manifest.config.media_type if manifest.config is not None else "",
                subject_digest=str(subject or ""),
                annotations=json.dumps(dict(manifest.annotations), ensure_ascii=False),
                layers_size=found.layers_size,
                actor=actor.principal,
                untagged_pin=False,
                label_pin=False,
                lease_until=now + self._lease_ms,
                created_ms=now,
                payload=manifest.payload,
            )
            .returning(Manifest.id)
        ).scalar_one()
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
        for table, digests in ((ManifestBlob, blobs), (ManifestChild, children)):
            rows = [
                {"manifest_id": record.manifest_id, "digest": digest, "repository_id": repository_id}
                for digest in dict.fromkeys(digests)
            ]
            if rows:
                connection.execute(insert(table), rows)

    def labels(self, connection: Connection, record: ManifestRecord, labels: Sequence[LabelRow]) -> None:
        """Insert the manifest's own labels."""
        if labels:
            connection.execute(
                insert(Label),
                [
                    {
                        "manifest_id": record.manifest_id,
                        "key": label.key,
                        "value": label.value,
                        "media_type": label.media_type,
                        "source": "manifest",
                        "warning": label.warning,
                    }
                    for label in labels
                ],
            )

    def settle_pins(
        self, connection: Connection, repository_id: int, record: ManifestRecord, children: Sequence[str]
    ) -> None:
        """Pin the manifest while no living tag, parent or subject keeps it; take over those that wait for it."""
        waiting = [Manifest.subject_digest == str(record.digest)]
        if children:
            waiting.append(Manifest.digest.in_(children))
        connection.execute(
            update(Manifest)
            .where(Manifest.repository_id == repository_id, Manifest.untagged_pin, or_(*waiting))
            .values(untagged_pin=False)
        )
        now = self._database.now(connection)
        tagged = exists().where(
            Tag.manifest_id == record.manifest_id,
            Tag.current == 1,
            or_(Tag.lifetime_end_ms.is_(None), Tag.lifetime_end_ms > now),
        )
        parent = exists().where(
            and_(ManifestChild.repository_id == repository_id, ManifestChild.digest == str(record.digest))
        )
        held = or_(tagged, parent)
        if record.subject is not None:
            other = Manifest.__table__.alias()
            held = or_(
                held,
                exists().where(
                    other.c.repository_id == repository_id,
                    other.c.digest == str(record.subject),
                    other.c.deleted_at.is_(None),
                ),
            )
        connection.execute(update(Manifest).where(Manifest.id == record.manifest_id).values(untagged_pin=~held))
