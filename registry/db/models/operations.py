"""What an operator has the whole registry do: take no writes for a while, and keep bytes for a backup."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from registry.db.base import Actor, Base, Id, LongText, Milliseconds, Name


class ReadOnlySwitch(Base):
    """One row, once it was used: whether the registry is read-only, why, since when, and who switched it last.

    ``revision`` goes up with every change.
    """

    __tablename__ = "read_only"

    id: Mapped[Id]
    is_on: Mapped[bool]
    reason: Mapped[LongText]
    actor: Mapped[Actor]
    since_ms: Mapped[Milliseconds]
    revision: Mapped[int] = mapped_column(BigInteger)


class BackupHold(Base):
    """A backup that is being made: until its lease ends, or the row goes, no bytes are removed."""

    __tablename__ = "backup_hold"

    name: Mapped[Name] = mapped_column(primary_key=True)
    created_ms: Mapped[Milliseconds]
    lease_until: Mapped[Milliseconds]
