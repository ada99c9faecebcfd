"""events and plugins.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False)


def _name(column: str) -> sa.Column[str]:
    return sa.Column(
        column, sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"), nullable=False
    )


def _index(name: str, table: str, condition: str, *columns: str, unique: bool = False) -> None:
    where = sa.text(condition)
    op.create_index(name, table, list(columns), unique=unique, sqlite_where=where, postgresql_where=where)


_PLACED = "position IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "outbox",
        _id(),
        sa.Column("event_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        _name("type"),
        _name("repository"),
        _name("subject"),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    _index("ix_outbox_waiting", "outbox", "position IS NULL", "id")
    _index("uq_outbox_position", "outbox", _PLACED, "position", unique=True)
    _index("ix_outbox_repository", "outbox", _PLACED, "repository", "position")
    _index("ix_outbox_type", "outbox", _PLACED, "type", "position")
    _index("ix_outbox_time", "outbox", _PLACED, "time_ms", "position")

    op.create_table(
        "event_consumer",
        _name("name"),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_event_consumer")),
    )
    op.create_table(
        "event_delivery",
        _id(),
        _name("consumer"),
        sa.Column("position", sa.BigInteger(), nullable=False),
        _name("repository"),
        sa.Column("alone", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("dead_ms", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_delivery")),
        sa.UniqueConstraint("consumer", "position", name=op.f("uq_event_delivery_consumer_position")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_delivery_due", "event_delivery", ["consumer", "dead_ms", "due_ms"])

    op.create_table(
        "plugin_value",
        _name("plugin"),
        _name("key"),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("plugin", "key", name=op.f("pk_plugin_value")),
    )
    op.create_table(
        "plugin_block",
        _name("plugin"),
        sa.Column("blocked_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("plugin", name=op.f("pk_plugin_block")),
    )
    op.create_table(
        "plugin_health",
        _name("plugin"),
        _name("hook"),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("last_error_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("plugin", "hook", name=op.f("pk_plugin_health")),
    )

    # What lapsed before there was anybody to tell is not told.
    now = sa.bindparam("now", int(time.time() * 1000), sa.BigInteger())
    lapsed = sa.text("UPDATE tag SET end_reason = 'expired' WHERE lifetime_end_ms <= :now AND end_reason IS NULL")
    op.get_bind().execute(lapsed.bindparams(now))
    _index("ix_tag_lapsing", "tag", "lifetime_end_ms IS NOT NULL AND end_reason IS NULL", "lifetime_end_ms")


def downgrade() -> None:
    op.drop_index("ix_tag_lapsing", "tag")
    op.execute("UPDATE tag SET end_reason = NULL WHERE end_reason = 'expired'")
    for table in ("plugin_health", "plugin_block", "plugin_value", "event_delivery", "event_consumer", "outbox"):
        op.drop_table(table)
