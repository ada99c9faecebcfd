"""Manifests, the edges to what they name, and their labels."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db.base import (
    NEVER_REUSED,
    Actor,
    Base,
    Bytes,
    DigestText,
    Id,
    LongText,
    MaybeMilliseconds,
    MediaType,
    Milliseconds,
    Name,
    Payload,
    reference,
)


class Manifest(Base):
    """A manifest of one repository, with its exact bytes.

    ``untagged_pin`` keeps a manifest that was pushed by digest alone; ``label_pin`` is set by a label only.
    ``artifact_type`` and ``subject_digest`` are empty where there is none, so that an index orders by them. The
    payload comes last: what is queried is read without it.
    """

    __tablename__ = "manifest"
    __table_args__ = (
        UniqueConstraint("repository_id", "digest"),
        Index("ix_manifest_referrers", "repository_id", "subject_digest", "artifact_type", "id"),
        # For lists, newest first, and for removing a repository piece by piece.
        Index("ix_manifest_newest", "repository_id", "id"),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    repository_id: Mapped[int] = mapped_column(BigInteger, reference("repository.id"))
    digest: Mapped[DigestText]
    media_type: Mapped[MediaType]
    size: Mapped[Bytes]
    artifact_type: Mapped[MediaType]
    config_media_type: Mapped[MediaType]
    subject_digest: Mapped[DigestText]
    annotations: Mapped[LongText]
    layers_size: Mapped[Bytes]
    actor: Mapped[Actor]
    untagged_pin: Mapped[bool]
    label_pin: Mapped[bool]
    lease_until: Mapped[Milliseconds]
    created_ms: Mapped[Milliseconds]
    deleted_at: Mapped[MaybeMilliseconds]
    last_pulled_at: Mapped[MaybeMilliseconds]
    payload: Mapped[Payload]


class ManifestBlob(Base):
    """An edge from a manifest to a blob. It holds the digest: content that arrives late connects by itself."""

    __tablename__ = "manifest_blob"
    __table_args__ = (Index("ix_manifest_blob_digest", "repository_id", "digest"),)

    manifest_id: Mapped[int] = mapped_column(BigInteger, reference("manifest.id", cascade=True), primary_key=True)
    digest: Mapped[DigestText] = mapped_column(primary_key=True)
    repository_id: Mapped[int] = mapped_column(BigInteger, reference("repository.id"))


class ManifestChild(Base):
    """An edge from a manifest to a manifest it consists of.

    ``deleted_ms`` is when the collector took that manifest because a client had deleted it (None: it did not).
    """

    __tablename__ = "manifest_child"
    __table_args__ = (Index("ix_manifest_child_digest", "repository_id", "digest"),)

    manifest_id: Mapped[int] = mapped_column(BigInteger, reference("manifest.id", cascade=True), primary_key=True)
    digest: Mapped[DigestText] = mapped_column(primary_key=True)
    repository_id: Mapped[int] = mapped_column(BigInteger, reference("repository.id"))
    deleted_ms: Mapped[MaybeMilliseconds]


class Label(Base):
    """A label of a manifest; ``warning`` says what its action found odd about the value, if anything."""

    __tablename__ = "label"
    __table_args__ = (Index("ix_label_manifest", "manifest_id"), NEVER_REUSED)

    id: Mapped[Id]
    manifest_id: Mapped[int] = mapped_column(BigInteger, reference("manifest.id", cascade=True))
    key: Mapped[LongText]
    value: Mapped[LongText]
    media_type: Mapped[MediaType]
    source: Mapped[Name]
    warning: Mapped[LongText]
