"""Namespaces, repositories, tag periods, and the registry's own keys."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db.base import (
    NEVER_REUSED,
    Actor,
    Base,
    DigestText,
    Id,
    LongText,
    MaybeMilliseconds,
    Milliseconds,
    Name,
    reference,
)


class Namespace(Base):
    """The part of repository names before the first slash; the empty one holds names without a slash."""

    __tablename__ = "namespace"

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)


class Repository(Base):
    """A repository. ``current`` is 1, or NULL once deleted, so that one name has one living repository."""

    __tablename__ = "repository"
    __table_args__ = (UniqueConstraint("name", "current"), NEVER_REUSED)

    id: Mapped[Id]
    namespace_id: Mapped[int] = mapped_column(BigInteger, reference("namespace.id"), index=True)
    name: Mapped[Name]
    current: Mapped[int | None]
    kind: Mapped[Name] = mapped_column(default="hosted")
    allow_sparse: Mapped[bool | None]
    created_ms: Mapped[Milliseconds]
    deleted_at: Mapped[MaybeMilliseconds]


class Tag(Base):
    """One period of a tag's life.

    ``current`` is 1 for the last period of a name that was neither moved nor deleted, else NULL. Such a row is
    alive while its end is null or ahead; a lapsed one is dead without any job having run.
    """

    __tablename__ = "tag"
    __table_args__ = (
        # Living tags lie together, in the order of their names, however many dead periods there are.
        UniqueConstraint("repository_id", "current", "name"),
        Index("ix_tag_history", "repository_id", "name", "lifetime_start_ms"),
        Index("ix_tag_manifest", "manifest_id", "current"),
    )

    id: Mapped[Id]
    repository_id: Mapped[int] = mapped_column(BigInteger, reference("repository.id"))
    name: Mapped[Name]
    manifest_id: Mapped[int | None] = mapped_column(BigInteger, reference("manifest.id"))
    digest: Mapped[DigestText]
    lifetime_start_ms: Mapped[Milliseconds]
    lifetime_end_ms: Mapped[MaybeMilliseconds]
    current: Mapped[int | None]
    reversion: Mapped[bool] = mapped_column(default=False)
    immutable: Mapped[bool] = mapped_column(default=False)
    actor: Mapped[Actor]


class SigningKey(Base):
    """A private key that the registry made for itself at its first start."""

    __tablename__ = "signing_key"

    purpose: Mapped[Name] = mapped_column(primary_key=True)
    private_pem: Mapped[LongText]
    created_ms: Mapped[Milliseconds]
