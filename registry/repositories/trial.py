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
    """A tag that a rule would make immutable, and the age of its period in milliseconds.

    One that ``ends`` (milliseconds) while the rule would hold it is not protected before its end is cleared.
    """

    name: str
    digest: str
    age_ms: int
    ends_ms: int | None


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying a rule on so many living tags; ``last`` is where to go on, None after all of them."""

    tried: int
    found: Sequence[ProtectedTag]
    last: str | None


class ProtectionTrial:
    """Tells what a rule would protect."""

    def __init__(self, database: Database, history: HistoryService) -> None:
        """Try rules on what ``history`` lists."""
        self._database = database
        self._history = history

    def protected(
        self, actor: Actor, repository: RepositoryName, definition: Mapping[str, object], limit: int, last: str
    ) -> Trial:
        """Try a rule, as if it were made now, on living tags after ``last`` until ``limit`` are found.

        Raises :class:`~registry.errors.RuleInvalid`, :class:`~registry.errors.NameUnknown`.
        """
        rule = parse_rule("trial", definition)
        with self._database.read() as connection:
            now = self._database.now(connection)
        rules, found, tried, more = RulesInForce([(rule, now)]), list[ProtectedTag](), 0, True
        while more:
            page = self._history.list(actor, repository, _PAGE, last)
            for tag in page.items:
                tried, last = tried + 1, tag.name
                if rules.protecting(tag.name, tag.start_ms, None, now) is not None:
                    held = rules.protecting(tag.name, tag.start_ms, tag.end_ms, now) is not None
                    found.append(ProtectedTag(tag.name, tag.digest, now - tag.start_ms, None if held else tag.end_ms))
                    if len(found) == limit:
                        return Trial(tried, found, last)
            more = page.more
        return Trial(tried, found, None)
