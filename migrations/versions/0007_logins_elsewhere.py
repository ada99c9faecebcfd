"""logins elsewhere: identities of others, and logins that are under way.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False)


def _name(column: str, *, nullable: bool = False) -> sa.Column[str]:
    kind = sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql")
    return sa.Column(column, kind, nullable=nullable)


def _ms(column: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger(), nullable=nullable)


def _of_principal(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["principal_id"], ["principal.id"], name=op.f(f"fk_{table}_principal_id"), ondelete="CASCADE"
    )


def upgrade() -> None:
    op.create_table(
        "identity",
        _id(),
        sa.Column("principal_id", sa.BigInteger(), nullable=False),
        _name("issuer"),
        _name("subject"),
        sa.Column("actor", sa.String(length=255), nullable=False),
        _ms("created_ms"),
        _ms("last_login_ms", nullable=True),
        _of_principal("identity"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("issuer", "subject", name="uq_identity_issuer_subject"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_identity_principal_id"), "identity", ["principal_id"])
    op.create_table(
        "login_request",
        _name("poll"),
        _name("user_code"),
        _name("host"),
        _name("address"),
        _name("source"),
        sa.Column("lives_ms", sa.BigInteger(), nullable=False),
        sa.Column("principal_id", sa.BigInteger(), nullable=True),
        sa.Column("denied", sa.Boolean(), nullable=False),
        sa.Column("interval_ms", sa.Integer(), nullable=False),
        _ms("polled_ms", nullable=True),
        _ms("created_ms"),
        _ms("expires_ms"),
        _of_principal("login_request"),
        sa.PrimaryKeyConstraint("poll", name=op.f("pk_login_request")),
        sa.UniqueConstraint("user_code", name=op.f("uq_login_request_user_code")),
    )
    for column in ("principal_id", "expires_ms"):
        op.create_index(op.f(f"ix_login_request_{column}"), "login_request", [column])
    op.create_table(
        "browser_login",
        _id(),
        _name("browser"),
        _name("state", nullable=True),
        _name("provider"),
        _name("nonce"),
        _name("verifier"),
        _name("request", nullable=True),
        sa.Column("principal_id", sa.BigInteger(), nullable=True),
        _name("source"),
        _ms("expires_ms"),
        sa.ForeignKeyConstraint(
            ["request"], ["login_request.poll"], name=op.f("fk_browser_login_request"), ondelete="CASCADE"
        ),
        _of_principal("browser_login"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_browser_login")),
        sa.UniqueConstraint("browser", name=op.f("uq_browser_login_browser")),
        sa.UniqueConstraint("state", name=op.f("uq_browser_login_state")),
    )
    for column in ("request", "principal_id", "expires_ms"):
        op.create_index(op.f(f"ix_browser_login_{column}"), "browser_login", [column])


def downgrade() -> None:
    for table in ("browser_login", "login_request", "identity"):
        op.drop_table(table)
