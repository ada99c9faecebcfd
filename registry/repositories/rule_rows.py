"""The rows of rules: which of them hold for a repository."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Row, bindparam, or_, select

from registry.db.models import Repository, Rule

_RULES = (
    select(Rule.id, Rule.name, Rule.definition, Rule.created_ms, Rule.updated_ms)
    .join(Repository, Repository.id == bindparam("repository"))
    .where(
        Rule.kind == bindparam("kind"),
        or_(
            Rule.repository_id == Repository.id,
            Rule.repository_id.is_(None)
            & or_(Rule.namespace_id.is_(None), Rule.namespace_id == Repository.namespace_id),
        ),
    )
    .order_by(Rule.repository_id.is_(None), Rule.namespace_id.is_(None), Rule.name)
)


def rules_for(connection: Connection, kind: str, repository_id: int) -> Sequence[Row[int, str, str, int, int]]:
    """Return a repository's rules of one kind: its own by name, then its namespace's, then those of everywhere."""
    return connection.execute(_RULES, {"repository": repository_id, "kind": kind}).all()
