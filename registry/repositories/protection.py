"""What must not be moved or deleted: tags that the API, a label or a rule made immutable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from registry.db.engine import Database
from registry.db.models import Rule
from registry.errors import TagImmutable
from registry.names import TagName
from registry.repositories.immutability import KIND, RulesInForce, rules_in_force
from registry.repositories.tag_values import Period, TagEffects

_ANY_RULE = select(Rule.id).where(Rule.kind == KIND).limit(1)


class Protection:
    """Knows why a tag is immutable: by itself, by a label, or by a rule."""

    def __init__(self, database: Database) -> None:
        """Look for rules in ``database``, in the caller's transaction."""
        self._any_rule = database.prepare(_ANY_RULE)

    def reasons(
        self, connection: Connection, now: int, repository_id: int, rows: Sequence[Period]
    ) -> Sequence[str | None]:
        """Return, for each of some current periods, who made it immutable, or None; asks for the rules once."""
        if all(row.immutable or row.label_immutable for row in rows):
            return [reason_of(immutable=row.immutable, by_label=row.label_immutable, rule=None) for row in rows]
        rules = self.rules(connection, repository_id)
        return [_reason(rules, row, now) for row in rows]

    def reason(self, connection: Connection, now: int, repository_id: int, row: Period) -> str | None:
        """Return who made a current period immutable, or None."""
        return self.reasons(connection, now, repository_id, [row])[0]

    def refuse(
        self, connection: Connection, now: int, repository_id: int, rows: Sequence[Period], *, part: bool = False
    ) -> None:
        """Raise :class:`TagImmutable` where one of some living periods must stay as it is.

        With ``part`` it is a part of what they stand for that would change.
        """
        for row, reason in zip(rows, self.reasons(connection, now, repository_id, rows), strict=True):
            if reason is not None:
                raise refusal(row.name, reason, index=row.digest if part else None)

    def settle(
        self, connection: Connection, now: int, repository_id: int, name: TagName, effects: TagEffects
    ) -> TagEffects:
        """Return the effects on a new period: what is immutable, or would be at its end, never ends."""
        if effects.lives_ms is None:
            return effects
        if effects.immutable or self.forbids_end(connection, repository_id, name.value, now, effects.lives_ms):
            return replace(effects, lives_ms=None)
        return effects

    def forbids_end(
        self, connection: Connection, repository_id: int, tag: str, start_ms: int, lives_ms: int
    ) -> str | None:
        """Return the rule by which a period of a tag could not end after this life, or None."""
        rule = self.rules(connection, repository_id).forbidding_end(tag, start_ms, lives_ms)
        return None if rule is None else reason_of(immutable=False, by_label=False, rule=rule.name)

    def rules(self, connection: Connection, repository_id: int) -> RulesInForce:
        """Return the rules of a repository; most registries have none at all, which is quickly asked."""
        if self._any_rule(connection, {}) is None:
            return RulesInForce(())
        return rules_in_force(connection, repository_id)


def refusal(tag: str, reason: str, *, index: str | None = None) -> TagImmutable:
    """Return the error that tells why a tag stays as it is, or a part of the ``index`` that it stands for."""
    detail = {"tag": tag, "reason": reason}
    if index is None:
        return TagImmutable(f"the tag {tag} is immutable: {reason}", detail=detail)
    return TagImmutable(f"the tag {tag} of the index {index} is immutable: {reason}", detail={**detail, "index": index})


def reason_of(*, immutable: bool, by_label: bool, rule: str | None) -> str | None:
    """Return in words who made a tag immutable: the API, a label, or the rule of a name; None where nobody did."""
    if immutable:
        return "it was made immutable by hand"
    if by_label:
        return "a label of its image makes it immutable"
    return None if rule is None else f"the rule {rule} makes it so"


def _reason(rules: RulesInForce, row: Period, now: int) -> str | None:
    rule = rules.protecting(row.name, row.lifetime_start_ms, row.lifetime_end_ms, now)
    name = None if rule is None else rule.name
    return reason_of(immutable=row.immutable, by_label=row.label_immutable, rule=name)
