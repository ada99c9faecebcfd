"""access: principals, keys and the policy.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False)


def _name(column: str, *, nullable: bool = False) -> sa.Column[str]:
    kind = sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql")
    return sa.Column(column, kind, nullable=nullable)


def _actor() -> sa.Column[str]:
    return sa.Column("actor", sa.String(length=255), nullable=False)


def _ms(column: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger(), nullable=nullable)


def _of_principal(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["principal_id"], ["principal.id"], name=op.f(f"fk_{table}_principal_id"), ondelete="CASCADE"
    )


def upgrade() -> None:
    state = op.create_table(
        "access_state",
        _id(),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_state")),
    )
    op.bulk_insert(state, [{"id": 1, "revision": 1}])
    op.create_table(
        "principal",
        _id(),
        _name("name"),
        _name("namespace", nullable=True),
        _name("source"),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        _ms("valid_from_ms"),
        sa.Column("description", sa.Text(), nullable=False),
        _actor(),
        _ms("created_ms"),
        _ms("updated_ms"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal")),
        sa.UniqueConstraint("name", name=op.f("uq_principal_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "team",
        _id(),
        _name("name"),
        sa.Column("description", sa.Text(), nullable=False),
        _actor(),
        _ms("created_ms"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team")),
        sa.UniqueConstraint("name", name=op.f("uq_team_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "team_member",
        sa.Column("team_id", sa.BigInteger(), nullable=False),
        sa.Column("principal_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_team_member_team_id"), ondelete="CASCADE"),
        _of_principal("team_member"),
        sa.PrimaryKeyConstraint("team_id", "principal_id", name=op.f("pk_team_member")),
    )
    op.create_index(op.f("ix_team_member_principal_id"), "team_member", ["principal_id"])
    op.create_table(
        "api_key",
        _id(),
        sa.Column("principal_id", sa.BigInteger(), nullable=False),
        _name("name"),
        _name("prefix"),
        _name("hash"),
        sa.Column("scopes", sa.Text(), nullable=False),
        _actor(),
        _ms("created_ms"),
        _ms("expires_ms", nullable=True),
        _ms("last_used_ms", nullable=True),
        _of_principal("api_key"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_key_prefix")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_api_key_principal_id"), "api_key", ["principal_id"])
    op.create_table(
        "refresh_token",
        _name("hash"),
        sa.Column("principal_id", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=True),
        _name("client"),
        _ms("created_ms"),
        _ms("expires_ms"),
        _of_principal("refresh_token"),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"], name=op.f("fk_refresh_token_key_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_refresh_token")),
    )
    for column in ("principal_id", "key_id", "expires_ms"):
        op.create_index(op.f(f"ix_refresh_token_{column}"), "refresh_token", [column])
    op.create_table(
        "access_rule",
        _id(),
        _name("name"),
        sa.Column("definition", sa.Text(), nullable=False),
        _actor(),
        _ms("created_ms"),
        _ms("updated_ms"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_rule")),
        sa.UniqueConstraint("name", name=op.f("uq_access_rule_name")),
    )
    op.create_table(
        "token_key",
        _name("id"),
        sa.Column("private_pem", sa.Text(), nullable=False),
        _ms("created_ms"),
        _ms("retired_ms", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_key")),
    )
    op.create_table(
        "login_failure",
        _name("address"),
        _name("name"),
        sa.Column("failures", sa.Integer(), nullable=False),
        _ms("last_ms"),
        sa.PrimaryKeyConstraint("address", "name", name=op.f("pk_login_failure")),
    )
    op.create_index("ix_login_failure_last", "login_failure", ["last_ms"])


def downgrade() -> None:
    for table in (
        "login_failure",
        "token_key",
        "access_rule",
        "refresh_token",
        "api_key",
        "team_member",
        "team",
        "principal",
        "access_state",
    ):
        op.drop_table(table)
