"""The policy: what all rules together say, found without looking at each of them.

What no rule allows is denied, and a rule that denies is stronger than all that allow.
"""

from __future__ import annotations

import re
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from registry.access.actions import Action
from registry.access.actors import ANONYMOUS
from registry.access.reach import EVERYTHING, Reach
from registry.access.rules import Circumstances, PolicyRule
from registry.patterns import EXPRESSION

_SPECIAL = re.compile(r"[*?\[]")
_ALL = "*"
ANYBODY = "anybody"
"""A subject that everybody is, with credentials or without."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says, and by which rule; None: no rule allows it.

    It is ``lasting`` where it is the same from every address and at all times.
    """

    allowed: bool
    rule: PolicyRule | None = None
    lasting: bool = True


@dataclass(slots=True)
class _Shelf:
    """The rules for one subject, by how they name repositories."""

    everywhere: list[PolicyRule] = field(default_factory=list)
    exact: dict[str, list[PolicyRule]] = field(default_factory=lambda: defaultdict(list))
    starting: dict[str, list[PolicyRule]] = field(default_factory=lambda: defaultdict(list))
    """By what stands before the first special character of a pattern: nothing, where one may match any name."""
    lengths: list[int] = field(default_factory=list)
    """Those of the starts, in order: so many starts of a name are looked up, however many rules there are."""

    def put(self, rule: PolicyRule) -> None:
        for pattern in rule.repositories.include:
            start = "" if pattern.startswith(EXPRESSION) else _SPECIAL.split(pattern, maxsplit=1)[0]
            if pattern == _ALL:
                self.everywhere.append(rule)
            elif start == pattern:
                self.exact[pattern].append(rule)
            else:
                self.starting[start].append(rule)
                if len(start) not in self.lengths:
                    insort(self.lengths, len(start))

    def about(self, repository: str) -> Iterator[PolicyRule]:
        """Yield the rules that may speak of a repository."""
        yield from self.everywhere
        yield from self.exact.get(repository, ())
        for length in self.lengths:
            if length > len(repository):
                break
            yield from self.starting.get(repository[:length], ())


class Policy:
    """The rules in force."""

    def __init__(self, rules: Iterable[PolicyRule]) -> None:
        """Sort the rules by their subjects; what is allowed without credentials is allowed with any."""
        self._shelves: dict[str, _Shelf] = {}
        for rule in rules:
            for subject in rule.subjects:
                shelf = ANYBODY if subject == ANONYMOUS and not rule.denies else subject
                self._shelves.setdefault(shelf, _Shelf()).put(rule)

    def decide(
        self, subjects: Sequence[str], action: Action, repository: str | None, circumstances: Circumstances
    ) -> Verdict:
        """Decide for a party that is each of ``subjects``; ``repository`` is None for the registry as a whole.

        What is said of the whole is what is said of all repositories and tags there may be.
        """
        allowing: PolicyRule | None = None
        lasting = True
        for rule in self._about(subjects, repository):
            if action not in rule.actions:
                continue
            lasting = lasting and rule.networks is None and not rule.times
            if not rule.holds(action, circumstances):
                continue
            if rule.denies:
                return Verdict(allowed=False, rule=rule, lasting=lasting)
            allowing = allowing or rule
        return Verdict(allowing is not None, allowing, lasting)

    def reach(self, subjects: Sequence[str], action: Action) -> Reach:
        """Return where an action may be allowed: all places where it is, and perhaps others."""
        names: set[str] = set()
        starts: set[str] = set()
        for shelf in self._of(subjects):
            if any(_allows(rule, action) for rule in shelf.everywhere):
                return EVERYTHING
            names.update(name for name, rules in shelf.exact.items() if any(_allows(rule, action) for rule in rules))
            starts.update(s for s, rules in shelf.starting.items() if any(_allows(rule, action) for rule in rules))
        return EVERYTHING if "" in starts else Reach.of(names, starts)

    def _of(self, subjects: Sequence[str]) -> Iterator[_Shelf]:
        return (shelf for subject in subjects if (shelf := self._shelves.get(subject)) is not None)

    def _about(self, subjects: Sequence[str], repository: str | None) -> Iterable[PolicyRule]:
        shelves = self._of(subjects)
        if repository is None:
            everywhere = chain.from_iterable(shelf.everywhere for shelf in shelves)
            return (rule for rule in everywhere if rule.denies or not (rule.repositories.exclude or rule.tags))
        found = chain.from_iterable(shelf.about(repository) for shelf in shelves)
        return (rule for rule in found if rule.repositories.matches(repository))


def _allows(rule: PolicyRule, action: Action) -> bool:
    return action in rule.actions and not rule.denies
