"""Blobs, their membership in repositories, uploads, and physical deletions to come."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer, UniqueConstraint
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
    Milliseconds,
    Name,
    reference,
)

LIVE, DAMAGED, DELETING = "LIVE", "DAMAGED", "DELETING"
OPEN, WRITING, CLOSING = "OPEN", "WRITING", "CLOSING"


class Blob(Base):
    """One row a digest, shared by all repositories. The bytes are under an opaque ``storage_key``.

    ``checked_ms`` is when its bytes were last read through and found right, or stored (None: they were stored before
    that was kept, or were missed since).
    """

    __tablename__ = "blob"
    __table_args__ = (Index("ix_blob_checked", "checked_ms", "id"), NEVER_REUSED)

    id: Mapped[Id]
    digest: Mapped[DigestText] = mapped_column(unique=True)
    size: Mapped[Bytes]
    state: Mapped[Name]
    storage_id: Mapped[Name]
    storage_key: Mapped[Name]
    created_ms: Mapped[Milliseconds]
    checked_ms: Mapped[MaybeMilliseconds]


class RepositoryBlob(Base):
    """Membership of a blob in a repository: the only thing that makes it readable there."""

    __tablename__ = "repository_blob"

    repository_id: Mapped[int] = mapped_column(BigInteger, reference("repository.id"), primary_key=True)
    blob_id: Mapped[int] = mapped_column(BigInteger, reference("blob.id"), primary_key=True, index=True)
    lease_until: Mapped[Milliseconds]
    hidden_at: Mapped[MaybeMilliseconds]


class StorageDeletion(Base):
    """A key whose bytes are to be removed; every physical deletion goes through a row here.

    ``handle`` and ``tail_etag`` are set for uploads that were never completed, ``blob_id`` where a blob's row is
    waiting to go with its bytes.
    """

    __tablename__ = "storage_deletion"
    __table_args__ = (UniqueConstraint("storage_id", "storage_key"),)

    id: Mapped[Id]
    storage_id: Mapped[Name]
    storage_key: Mapped[Name]
    handle: Mapped[LongText] = mapped_column(default="")
    tail_etag: Mapped[LongText] = mapped_column(default="")
    blob_id: Mapped[int | None] = mapped_column(BigInteger)
    due_ms: Mapped[Milliseconds] = mapped_column(index=True)
    attempts: Mapped[int] = mapped_column(Integer, default=0)


class Upload(Base):
    """An upload session of one repository.

    ``token`` fences writers: each takes the next number, and only the holder of the number in the row may
    change it. ``deadline_ms`` is when a writer that has not been heard of may be replaced. ``prefix_digest`` is
    the digest of bytes 0 to ``offset`` where one request wrote them all. ``handle`` and the tail belong to the
    storage driver.
    """

    __tablename__ = "upload"
    __table_args__ = (Index("ix_upload_deadline", "deadline_ms"), NEVER_REUSED)

    id: Mapped[Id]
    uuid: Mapped[Name] = mapped_column(unique=True)
    repository_id: Mapped[int] = mapped_column(BigInteger, reference("repository.id"), index=True)
    actor: Mapped[Actor]
    algorithm: Mapped[Name]
    storage_id: Mapped[Name]
    storage_key: Mapped[Name]
    handle: Mapped[LongText] = mapped_column(default="")
    offset: Mapped[Bytes] = mapped_column(default=0)
    tail_size: Mapped[Bytes] = mapped_column(default=0)
    tail_etag: Mapped[LongText] = mapped_column(default="")
    prefix_digest: Mapped[DigestText | None]
    state: Mapped[Name]
    token: Mapped[int] = mapped_column(BigInteger, default=0)
    deadline_ms: Mapped[Milliseconds]
    created_ms: Mapped[Milliseconds]


class UploadPart(Base):
    """A piece of an upload that the store has acknowledged (stores that take parts)."""

    __tablename__ = "upload_part"

    upload_id: Mapped[int] = mapped_column(BigInteger, reference("upload.id", cascade=True), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    size: Mapped[Bytes]
    etag: Mapped[LongText]


class PurgedDigest(Base):
    """A digest that must not be here any more (a leaked secret): it was removed, and its return is refused."""

    __tablename__ = "purged_digest"

    digest: Mapped[DigestText] = mapped_column(primary_key=True)
    reason: Mapped[LongText]
    actor: Mapped[Actor]
    purged_ms: Mapped[Milliseconds]
