"""events and plugins.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

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
        sa.UniqueConstraint("position", name=op.f("uq_outbox_position")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_repository", "outbox", ["repository", "position"])

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
        sa.Column("attempts", sa.Integer(), nullable=False),
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


def downgrade() -> None:
    for table in ("plugin_health", "plugin_block", "plugin_value", "event_delivery", "event_consumer", "outbox"):
        op.drop_table(table)
