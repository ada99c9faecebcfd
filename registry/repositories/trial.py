"""Trying a rule of immutability on the tags that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.access.actors import Actor
from registry.db.engine import Database
from registry.names import RepositoryName
from registry.repositories.history import HistoryService
from registry.repositories.immutability import RulesInForce, parse_rule

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class ProtectedTag:
    """A tag that a rule would make immutable, and the age of its period in milliseconds."""

    name: str
    digest: str
    age_ms: int


class ProtectionTrial:
    """Tells what a rule would protect."""

    def __init__(self, database: Database, history: HistoryService) -> None:
        """Try rules on what ``history`` lists."""
        self._database = database
        self._history = history

    def protected(
        self, actor: Actor, repository: RepositoryName, definition: Mapping[str, object]
    ) -> tuple[int, Sequence[ProtectedTag]]:
        """Return how many living tags were tried, and those that a rule made now would make immutable.

        Raises :class:`~registry.errors.RuleInvalid`, :class:`~registry.errors.NameUnknown`.
        """
        rule = parse_rule("trial", definition)
        with self._database.read() as connection:
            now = self._database.now(connection)
        rules, found, tried, last, more = RulesInForce([(rule, now)]), [], 0, "", True
        while more:
            page = self._history.list(actor, repository, _PAGE, last)
            for tag in page.items:
                tried += 1
                if rules.protecting(tag.name, tag.start_ms, now) is not None:
                    found.append(ProtectedTag(tag.name, tag.digest, now - tag.start_ms))
            more = page.more
            last = page.items[-1].name if page.items else last
        return tried, found
