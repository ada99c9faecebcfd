"""tags that live and die.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gc_review",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column(
            "kind",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("repository_id", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gc_review")),
        sa.UniqueConstraint("kind", "repository_id", "target", name=op.f("uq_gc_review_kind_repository_id_target")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_gc_review_due", "gc_review", ["due_ms", "id"])

    op.create_table(
        "job",
        sa.Column(
            "name",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "holder",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job")),
    )
    op.create_index(op.f("ix_job_due_ms"), "job", ["due_ms"])

    op.create_table(
        "job_run",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column(
            "job",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "trigger",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column(
            "state",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column(
            "holder",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("finished_ms", sa.BigInteger(), nullable=True),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_run")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_run_job", "job_run", ["job", "id"])
    op.create_index("ix_job_run_state", "job_run", ["state", "id"])

    op.create_table(
        "purged_digest",
        sa.Column(
            "digest",
            sa.String(length=160).with_variant(sa.String(length=160, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("purged_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_purged_digest")),
    )
    op.create_table(
        "rule",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column(
            "name",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "kind",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("namespace_id", sa.BigInteger(), nullable=True),
        sa.Column("repository_id", sa.BigInteger(), nullable=True),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespace.id"], name=op.f("fk_rule_namespace_id")),
        sa.ForeignKeyConstraint(["repository_id"], ["repository.id"], name=op.f("fk_rule_repository_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule")),
        sa.UniqueConstraint("name", name=op.f("uq_rule_name")),
    )
    op.create_index(op.f("ix_rule_repository_id"), "rule", ["repository_id"])
    op.create_index("ix_rule_scope", "rule", ["kind", "repository_id", "namespace_id"])

    op.create_table(
        "retention_plan",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("repository_id", sa.BigInteger(), nullable=False),
        sa.Column("as_of_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "rules",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column(
            "state",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_retention_plan_repository_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_plan")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_retention_plan_repository_id"), "retention_plan", ["repository_id"])
    op.create_index(op.f("ix_retention_plan_as_of_ms"), "retention_plan", ["as_of_ms"])
    op.create_table(
        "retention_page",
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("removals", sa.Integer(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["retention_plan.id"], name=op.f("fk_retention_page_plan_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("plan_id", "number", name=op.f("pk_retention_page")),
    )

    op.add_column("manifest_child", sa.Column("deleted_ms", sa.BigInteger(), nullable=True))
    op.add_column("blob", sa.Column("checked_ms", sa.BigInteger(), nullable=True))
    op.add_column("storage_deletion", sa.Column("blob_id", sa.BigInteger(), nullable=True))
    op.create_index("ix_blob_checked", "blob", ["checked_ms", "id"])
    op.create_index("ix_manifest_newest", "manifest", ["repository_id", "id"])

    op.add_column("repository", sa.Column("recovery_seconds", sa.BigInteger(), nullable=True))
    op.add_column("repository", sa.Column("description", sa.Text(), nullable=False, server_default=""))

    op.add_column("tag", sa.Column("label_immutable", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column(
        "tag",
        sa.Column(
            "expiry_source",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=True,
        ),
    )
    op.add_column(
        "tag",
        sa.Column(
            "end_reason",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=True,
        ),
    )
    op.add_column(
        "tag",
        sa.Column(
            "family",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=True,
        ),
    )
    op.create_index("ix_tag_started", "tag", ["repository_id", "lifetime_start_ms"])
    op.create_index(
        "ix_tag_ended",
        "tag",
        ["lifetime_end_ms"],
        sqlite_where=sa.text("lifetime_end_ms IS NOT NULL"),
        postgresql_where=sa.text("lifetime_end_ms IS NOT NULL"),
    )
    op.create_index(
        "ix_tag_family",
        "tag",
        ["repository_id", "family", "current", "id"],
        sqlite_where=sa.text("family IS NOT NULL"),
        postgresql_where=sa.text("family IS NOT NULL"),
    )

    if op.get_bind().dialect.name == "sqlite":  # a label's id is said to clients, and is never another label's
        with op.batch_alter_table("label", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass

    op.create_index("ix_upload_deadline", "upload", ["deadline_ms"])

    # What was pushed before anybody looked: each row is looked at once, and those that something keeps are left.
    for source in (
        "SELECT 'manifest', repository_id, id, 0 FROM manifest",
        "SELECT 'blob', repository_id, blob_id, 0 FROM repository_blob",
        "SELECT 'repository', id, id, 0 FROM repository WHERE deleted_at IS NOT NULL",
    ):
        op.execute("INSERT INTO gc_review (kind, repository_id, target, due_ms) " + source)


def downgrade() -> None:
    op.drop_index("ix_upload_deadline", "upload")
    for index in ("ix_tag_family", "ix_tag_ended", "ix_tag_started"):
        op.drop_index(index, "tag")
    for column in ("family", "end_reason", "expiry_source", "label_immutable"):
        op.drop_column("tag", column)
    for column in ("description", "recovery_seconds"):
        op.drop_column("repository", column)
    op.drop_index("ix_manifest_newest", "manifest")
    op.drop_index("ix_blob_checked", "blob")
    op.drop_column("manifest_child", "deleted_ms")
    op.drop_column("blob", "checked_ms")
    op.drop_column("storage_deletion", "blob_id")
    for table in ("retention_page", "retention_plan", "rule", "purged_digest", "job_run", "job", "gc_review"):
        op.drop_table(table)
