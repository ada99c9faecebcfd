"""What happened, and who has been told."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, String, UniqueConstraint
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
    text_type,
)


class Outbox(Base):
    """An event, written in the transaction that made it happen.

    ``position`` is given after the commit, by the dispatcher: ids commit out of order on PostgreSQL. ``data`` is a
    JSON text; ``repository`` is empty for what belongs to none.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("position"),
        Index("ix_outbox_repository", "repository", "position"),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    event_id: Mapped[str] = mapped_column(String(32))
    position: Mapped[int | None] = mapped_column(BigInteger)
    type: Mapped[Name]
    repository: Mapped[Name]
    subject: Mapped[str] = mapped_column(text_type(255))
    actor: Mapped[Actor]
    time_ms: Mapped[Milliseconds]
    data: Mapped[LongText]


class EventConsumer(Base):
    """How far an observer has been told: every event up to ``position`` that does not wait as a delivery."""

    __tablename__ = "event_consumer"

    name: Mapped[Name] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)


class EventDelivery(Base):
    """An event that an observer could not take yet (``due_ms``: when it is told again), or not at all (``dead_ms``).

    Later events of the same repository wait behind one that is not dead.
    """

    __tablename__ = "event_delivery"
    __table_args__ = (
        UniqueConstraint("consumer", "position"),
        Index("ix_event_delivery_due", "consumer", "dead_ms", "due_ms"),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    consumer: Mapped[Name]
    position: Mapped[int] = mapped_column(BigInteger)
    repository: Mapped[Name]
    attempts: Mapped[int]
    due_ms: Mapped[Milliseconds]
    dead_ms: Mapped[MaybeMilliseconds]
    error: Mapped[LongText]
