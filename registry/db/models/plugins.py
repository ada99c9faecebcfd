"""What plugins keep, and what is known about them."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from registry.db.base import Actor, Base, LongText, Milliseconds, Name


class PluginValue(Base):
    """A JSON value in a plugin's store."""

    __tablename__ = "plugin_value"

    plugin: Mapped[Name] = mapped_column(primary_key=True)
    key: Mapped[Name] = mapped_column(primary_key=True)
    value: Mapped[LongText]
    revision: Mapped[int] = mapped_column(BigInteger)


class PluginBlock(Base):
    """A plugin that is not called any more, in every process of the registry.

    One that an operator blocked counts as not installed; what ``automatic`` ones decide about is refused.
    """

    __tablename__ = "plugin_block"

    plugin: Mapped[Name] = mapped_column(primary_key=True)
    blocked_ms: Mapped[Milliseconds]
    actor: Mapped[Actor]
    reason: Mapped[LongText]
    automatic: Mapped[bool]


class PluginHealth(Base):
    """How a plugin's implementation of one hook has done, in all processes together; times are in microseconds."""

    __tablename__ = "plugin_health"

    plugin: Mapped[Name] = mapped_column(primary_key=True)
    hook: Mapped[Name] = mapped_column(primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int] = mapped_column(BigInteger)
    micros: Mapped[int] = mapped_column(BigInteger)
    last_error: Mapped[LongText]
    last_error_ms: Mapped[Milliseconds]
