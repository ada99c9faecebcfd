"""The rules that decide about one repository."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, or_, select

from registry.db.models import Repository, Rule
from registry.retention.definition import KIND, RetentionRule, parse_rule

_RULES = (
    select(Rule.id, Rule.name, Rule.definition, Rule.updated_ms)
    .join(Repository, Repository.id == bindparam("repository"))
    .where(
        Rule.kind == KIND,
        or_(
            Rule.repository_id == Repository.id,
            Rule.repository_id.is_(None)
            & or_(Rule.namespace_id.is_(None), Rule.namespace_id == Repository.namespace_id),
        ),
    )
    .order_by(Rule.repository_id.is_(None), Rule.namespace_id.is_(None), Rule.name)
)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of a repository, of its namespace and of everywhere, in this order; ``digest`` names just these."""

    rules: Sequence[RetentionRule]
    digest: str


def rules_of(connection: Connection, repository_id: int) -> RuleSet:
    """Return the rules that decide about a repository."""
    rows = connection.execute(_RULES, {"repository": repository_id}).all()
    said = json.dumps([tuple(row) for row in rows])
    return RuleSet(
        [parse_rule(row.name, json.loads(row.definition)) for row in rows], hashlib.sha256(said.encode()).hexdigest()
    )
