"""audit: who did what, sealed into a chain.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEXED = {"time": "time_ms", "kind": "kind", "principal": "principal", "repository": "repository"}


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False)


def _name(column: str) -> sa.Column[str]:
    kind = sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql")
    return sa.Column(column, kind, nullable=False)


def _number(column: str) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger(), nullable=False)


def _text(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.Text(), nullable=False)


def _hash(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.String(length=64), nullable=False)


def _recorded() -> list[sa.Column[str] | sa.Column[int]]:
    return [
        _number("time_ms"),
        _name("kind"),
        _name("outcome"),
        _name("principal"),
        _name("address"),
        _text("user_agent"),
        _name("repository"),
        _name("reference"),
        _name("action"),
        _name("rule"),
        _name("request_id"),
        _number("count"),
        _text("detail"),
    ]


def upgrade() -> None:
    op.create_table(
        "audit_entry",
        _id(),
        *_recorded(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        _hash("previous"),
        _hash("hash"),
        *_recorded(),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_audit")),
    )
    for name, column in _INDEXED.items():
        op.create_index(f"ix_audit_{name}", "audit", [column, "position"])
    op.create_table(
        "audit_state",
        _id(),
        _number("position"),
        _hash("hash"),
        _number("events"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_state")),
    )
    op.add_column("outbox", sa.Column("origin", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("outbox", "origin")
    for table in ("audit_state", "audit", "audit_entry"):
        op.drop_table(table)
