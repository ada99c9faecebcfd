"""The rules that decide about one repository."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from registry.repositories.rule_rows import rules_for
from registry.retention.definition import KIND, RetentionRule, parse_rule


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of a repository, of its namespace and of everywhere, in this order; ``digest`` names just these."""

    rules: Sequence[RetentionRule]
    digest: str


def rules_of(connection: Connection, repository_id: int) -> RuleSet:
    """Return the rules that decide about a repository."""
    rows = rules_for(connection, KIND, repository_id)
    said = json.dumps([(row.id, row.name, row.definition, row.updated_ms) for row in rows])
    return RuleSet(
        [parse_rule(row.name, json.loads(row.definition)) for row in rows], hashlib.sha256(said.encode()).hexdigest()
    )
