"""Rules that make tags immutable, by the pattern of their names and by their age."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Connection

from registry.errors import RuleInvalid
from registry.patterns import Patterns
from registry.repositories.lives import Life, parse_life
from registry.repositories.rule_rows import rules_for

KIND = "immutability"
_FIELDS = ("tags", "after", "for", "retroactive")
_SHOWN = 64


@dataclass(frozen=True, slots=True)
class ImmutabilityRule:
    """Tags that match ``tags`` are immutable from the age ``after`` (None: at once) to the age ``until`` (None: ever).

    Unless it is ``retroactive``, a rule speaks of periods alone that started when it was there.
    """

    name: str
    tags: Patterns
    after: Life | None = None
    until: Life | None = None
    retroactive: bool = False

    def covers(self, tag: str, start_ms: int, made_ms: int) -> bool:
        """Tell whether the rule, made at ``made_ms``, speaks of a period at all."""
        return (self.retroactive or start_ms >= made_ms) and self.tags.matches(tag)

    def protects_at(self, age_ms: int) -> bool:
        """Tell whether a covered period of this age is immutable."""
        return (self.after is None or age_ms >= self.after.ms) and (self.until is None or age_ms < self.until.ms)


def parse_rule(name: str, definition: Mapping[str, object]) -> ImmutabilityRule:
    """Read a definition: ``tags``, and if wanted ``after``, ``for`` and ``retroactive``.

    Raises :class:`RuleInvalid` that names the field at fault.
    """
    for key in definition:
        if key not in _FIELDS:
            raise RuleInvalid(
                f"there is no field {key[:_SHOWN]}: use {', '.join(_FIELDS)}", detail={"field": key[:_SHOWN]}
            )
    retroactive = definition.get("retroactive", False)
    if not isinstance(retroactive, bool):
        raise RuleInvalid("retroactive must be true or false", detail={"field": "retroactive"})
    after = parse_life(definition["after"], "after") if "after" in definition else None
    until = parse_life(definition["for"], "for") if "for" in definition else None
    if after is not None and until is not None and until.ms <= after.ms:
        raise RuleInvalid("for must be longer than after: both count from the tag's start", detail={"field": "for"})
    if "tags" not in definition:
        raise RuleInvalid('tags must say which tags are meant, such as ["v*"]', detail={"field": "tags"})
    return ImmutabilityRule(name, Patterns.parse(definition["tags"], "tags"), after, until, retroactive)


@lru_cache(maxsize=1024)
def _parsed(name: str, definition: str) -> ImmutabilityRule:
    return parse_rule(name, json.loads(definition))


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The immutability rules of one repository, each with the time it was made."""

    rules: Sequence[tuple[ImmutabilityRule, int]]

    def protecting(self, tag: str, start_ms: int, end_ms: int | None, now: int) -> ImmutabilityRule | None:
        """Return the first rule by which a period is immutable at ``now``, or None.

        What is immutable has no end: a rule that would forbid the end of a period which had it before leaves that
        period alone, until the end is cleared.
        """
        for rule, made in self.rules:
            if rule.covers(tag, start_ms, made) and rule.protects_at(now - start_ms):
                ends = end_ms is not None and rule.protects_at(end_ms - start_ms)
                if not ends:
                    return rule
        return None

    def forbidding_end(self, tag: str, start_ms: int, lives_ms: int) -> ImmutabilityRule | None:
        """Return the first rule by which a period could not end at this age, or None."""
        return next(
            (rule for rule, made in self.rules if rule.covers(tag, start_ms, made) and rule.protects_at(lives_ms)),
            None,
        )


def rules_in_force(connection: Connection, repository_id: int) -> RulesInForce:
    """Return a repository's immutability rules, its own first, then its namespace's, then those of everywhere."""
    rows = rules_for(connection, KIND, repository_id)
    return RulesInForce([(_parsed(row.name, row.definition), row.created_ms) for row in rows])
