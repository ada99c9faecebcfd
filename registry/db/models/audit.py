"""Who did what: entries that wait, and the chain into which they are sealed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from registry.db.base import NEVER_REUSED, Base, Id, LongText, Milliseconds, Name


class _Recorded:
    """What both tables hold of an entry; ``detail`` is the JSON text of an object, ``count`` how often it happened."""

    time_ms: Mapped[Milliseconds]
    kind: Mapped[Name]
    outcome: Mapped[Name]
    principal: Mapped[Name]
    address: Mapped[Name]
    user_agent: Mapped[LongText]
    repository: Mapped[Name]
    reference: Mapped[Name]
    action: Mapped[Name]
    rule: Mapped[Name]
    request_id: Mapped[Name]
    count: Mapped[int] = mapped_column(BigInteger)
    detail: Mapped[LongText]


class AuditEntry(_Recorded, Base):
    """An entry that waits to be sealed, written in the transaction that it tells of, or beside it."""

    __tablename__ = "audit_entry"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[Id]


class AuditRecord(_Recorded, Base):
    """A sealed entry: ``hash`` is over all of it and over ``previous``, the hash of the record before."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_time", "time_ms", "position"),
        Index("ix_audit_kind", "kind", "position"),
        Index("ix_audit_principal", "principal", "position"),
        Index("ix_audit_repository", "repository", "position"),
    )

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class AuditState(Base):
    """One row: the last position and hash of the chain, and the position up to which events are in it."""

    __tablename__ = "audit_state"

    id: Mapped[Id]
    position: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    events: Mapped[int] = mapped_column(BigInteger)
