"""What is to be looked at, and what runs beside the requests."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db.base import (
    NEVER_REUSED,
    Actor,
    Base,
    Id,
    LongText,
    MaybeMilliseconds,
    Milliseconds,
    Name,
)

MANIFEST, BLOB, REPOSITORY = "manifest", "blob", "repository"
"""Kinds of reviews: what ``target`` is the row id of. A blob is looked at within one repository."""


class GcReview(Base):
    """Something that may have lost what kept it; the collector looks at it once ``due_ms`` has come."""

    __tablename__ = "gc_review"
    __table_args__ = (
        UniqueConstraint("kind", "repository_id", "target"),
        Index("ix_gc_review_due", "due_ms", "id"),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    kind: Mapped[Name]
    repository_id: Mapped[int] = mapped_column(BigInteger)
    target: Mapped[int] = mapped_column(BigInteger)
    due_ms: Mapped[Milliseconds]


class Job(Base):
    """When a named job runs next, and which worker holds it (``lease_until``: until it is taken for dead)."""

    __tablename__ = "job"

    name: Mapped[Name] = mapped_column(primary_key=True)
    due_ms: Mapped[Milliseconds] = mapped_column(index=True)
    holder: Mapped[Name] = mapped_column(default="")
    lease_until: Mapped[Milliseconds] = mapped_column(default=0)


class JobRun(Base):
    """One run of a job: queued by hand or by its schedule, running, or over.

    ``arguments`` and ``result`` are JSON texts; ``done`` of ``total`` (0: unknown) tells how far it is.
    """

    __tablename__ = "job_run"
    __table_args__ = (
        Index("ix_job_run_job", "job", "id"),
        Index("ix_job_run_state", "state", "id"),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    job: Mapped[Name]
    trigger: Mapped[Name]
    actor: Mapped[Actor]
    state: Mapped[Name]
    arguments: Mapped[LongText]
    holder: Mapped[Name] = mapped_column(default="")
    lease_until: Mapped[Milliseconds] = mapped_column(default=0)
    created_ms: Mapped[Milliseconds]
    started_ms: Mapped[MaybeMilliseconds]
    finished_ms: Mapped[MaybeMilliseconds]
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    result: Mapped[LongText] = mapped_column(default="")
    error: Mapped[LongText] = mapped_column(default="")
