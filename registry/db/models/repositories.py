"""Namespaces, repositories, tag periods, and the registry's own keys."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
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


def _only(column: str, name: str, *columns: str) -> Index:
    """Return an index of the rows that have ``column``, so that the many others cost it nothing."""
    condition = text(f"{column} IS NOT NULL")
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


_UNTOLD = text("lifetime_end_ms IS NOT NULL AND end_reason IS NULL")
"""Of periods whose end has come, or will: it was not told to observers yet."""


class Namespace(Base):
    """The part of repository names before the first slash; the empty one holds names without a slash."""

    __tablename__ = "namespace"

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)


class Repository(Base):
    """A repository. ``current`` is 1, or NULL once deleted, so that one name has one living repository.

    ``allow_sparse`` and ``recovery_seconds`` (how long what ended stays restorable) are NULL where the registry's
    settings hold.
    """

    __tablename__ = "repository"
    __table_args__ = (UniqueConstraint("name", "current"), NEVER_REUSED)

    id: Mapped[Id]
    namespace_id: Mapped[int] = mapped_column(BigInteger, reference("namespace.id"), index=True)
    name: Mapped[Name]
    current: Mapped[int | None]
    kind: Mapped[Name] = mapped_column(default="hosted")
    allow_sparse: Mapped[bool | None]
    recovery_seconds: Mapped[int | None] = mapped_column(BigInteger)
    description: Mapped[LongText] = mapped_column(default="")
    created_ms: Mapped[Milliseconds]
    deleted_at: Mapped[MaybeMilliseconds]


class Tag(Base):
    """One period of a tag's life.

    ``current`` is 1 for the last period of a name that was neither moved nor deleted, else NULL. Such a row is
    alive while its end is null or ahead; a lapsed one is dead without any job having run. ``end_reason`` says why
    a period ended; one that lapsed has none until that was told to observers. ``expiry_source`` is who set the end
    of a current one: a label or the API. ``immutable`` was set through the API, ``label_immutable`` by a label.
    ``family`` names the tags of which a label keeps the last few.
    """

    __tablename__ = "tag"
    __table_args__ = (
        # Living tags lie together, in the order of their names, however many dead periods there are.
        UniqueConstraint("repository_id", "current", "name"),
        Index("ix_tag_history", "repository_id", "name", "lifetime_start_ms"),
        Index("ix_tag_started", "repository_id", "lifetime_start_ms"),
        Index("ix_tag_manifest", "manifest_id", "current"),
        _only("family", "ix_tag_family", "repository_id", "family", "current", "id"),
        _only("lifetime_end_ms", "ix_tag_ended", "lifetime_end_ms"),
        Index("ix_tag_lapsing", "lifetime_end_ms", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
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
    label_immutable: Mapped[bool] = mapped_column(default=False)
    expiry_source: Mapped[Name | None]
    end_reason: Mapped[Name | None]
    family: Mapped[Name | None]
    actor: Mapped[Actor]


class Rule(Base):
    """A house rule of one kind: for one repository, one namespace, or (both NULL) everywhere.

    ``definition`` is the JSON text of what it says; its kind knows how to read it.
    """

    __tablename__ = "rule"
    __table_args__ = (Index("ix_rule_scope", "kind", "repository_id", "namespace_id"),)

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    kind: Mapped[Name]
    namespace_id: Mapped[int | None] = mapped_column(BigInteger, reference("namespace.id"))
    repository_id: Mapped[int | None] = mapped_column(BigInteger, reference("repository.id"), index=True)
    definition: Mapped[LongText]
    actor: Mapped[Actor]
    created_ms: Mapped[Milliseconds]
    updated_ms: Mapped[Milliseconds]


class SigningKey(Base):
    """A private key that the registry made for itself at its first start."""

    __tablename__ = "signing_key"

    purpose: Mapped[Name] = mapped_column(primary_key=True)
    private_pem: Mapped[LongText]
    created_ms: Mapped[Milliseconds]
