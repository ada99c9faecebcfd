"""What runs of retention were to remove, as it was decided."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer
from sqlalchemy.orm import Mapped, mapped_column

from registry.db.base import NEVER_REUSED, Actor, Base, Id, LongText, Milliseconds, Name, reference


class RetentionPlan(Base):
    """What rules decided about one repository at ``as_of_ms``; a run removes nothing that its plan does not name.

    ``rules`` is a digest of the rules that decided. ``position`` is that of the first entry that no run has come to.
    ``counts`` and ``result`` (of the run) are JSON texts.
    """

    __tablename__ = "retention_plan"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[Id]
    repository_id: Mapped[int] = mapped_column(BigInteger, reference("repository.id", cascade=True), index=True)
    as_of_ms: Mapped[Milliseconds] = mapped_column(index=True)
    rules: Mapped[Name]
    actor: Mapped[Actor]
    state: Mapped[Name]
    position: Mapped[int] = mapped_column(BigInteger, default=0)
    counts: Mapped[LongText] = mapped_column(default="{}")
    result: Mapped[LongText] = mapped_column(default="{}")


class RetentionPage(Base):
    """A part of a plan: JSON text of its entries, in order; ``removals`` is how many of them are removals."""

    __tablename__ = "retention_page"

    plan_id: Mapped[int] = mapped_column(BigInteger, reference("retention_plan.id", cascade=True), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    removals: Mapped[int] = mapped_column(Integer)
    entries: Mapped[LongText]
