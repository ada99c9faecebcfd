"""What happened, and who has been told."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, String, UniqueConstraint, text
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


def _placed(name: str, *columns: str, unique: bool = False, is_placed: bool = True) -> Index:
    """Return an index of the events that have a position (or that have none), so that writing one costs it nothing."""
    condition = text(f"position IS {'NOT ' if is_placed else ''}NULL")
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


class Outbox(Base):
    """An event, written in the transaction that made it happen.

    ``position`` is given after the commit, by the dispatcher: ids commit out of order on PostgreSQL. ``data`` is a
    JSON text; ``repository`` is empty for what belongs to none. ``origin`` is a JSON text of where it came from, which
    observers are not told.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        _placed("ix_outbox_waiting", "id", is_placed=False),
        _placed("uq_outbox_position", "position", unique=True),
        _placed("ix_outbox_repository", "repository", "position"),
        _placed("ix_outbox_type", "type", "position"),
        _placed("ix_outbox_time", "time_ms", "position"),
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
    origin: Mapped[LongText] = mapped_column(server_default="")


class EventConsumer(Base):
    """How far an observer has been told: every event up to ``position`` that does not wait as a delivery.

    The one without a name is nobody: its position is the last that was given to an event.
    """

    __tablename__ = "event_consumer"

    name: Mapped[Name] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)


class EventDelivery(Base):
    """An event that an observer could not take yet (``due_ms``: when it is told again), or not at all (``dead_ms``).

    Later events of the same repository wait behind one that is neither dead nor ``alone``: they follow it, up to the
    observer's position. What was dead and is told again is alone.
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
    alone: Mapped[bool]
    attempts: Mapped[int]
    first_ms: Mapped[Milliseconds]
    due_ms: Mapped[Milliseconds]
    dead_ms: Mapped[MaybeMilliseconds]
    error: Mapped[LongText]
