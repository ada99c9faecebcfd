"""What rules decide, from facts alone: no database, no clock."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from registry.repositories.lives import Life, age_text
from registry.retention.definition import About, RetentionRule

_TEENS = range(10, 20)
_SUFFIXES = {1: "st", 2: "nd", 3: "rd"}


class Fate(StrEnum):
    """What becomes of a tag or an untagged manifest."""

    REMOVE = "remove"
    KEEP = "keep"
    UNCOVERED = "not covered"


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules look at.

    ``name`` is a tag's, or an untagged manifest's digest. ``since_ms`` is when the tag's period started, or the
    manifest was left without a tag. ``pulled_ms`` is the manifest's last pull. ``protected`` says why nothing may
    remove it, whatever rules say.
    """

    name: str
    since_ms: int
    pulled_ms: int | None = None
    protected: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A fate, the rules it comes from (none where protection or no rule decides), and why."""

    fate: Fate
    rule: str
    why: str


@dataclass(slots=True)
class _Newest:
    """The newest ``count`` of what was seen, ties in the order of names; holds twice as many at most."""

    count: int
    seen: int = 0
    keys: list[tuple[int, str]] = field(default_factory=list)

    def see(self, facts: Facts) -> None:
        self.seen += 1
        self.keys.append(_age_key(facts))
        if len(self.keys) >= 2 * self.count:
            self.settle()

    def settle(self) -> None:
        self.keys.sort()
        del self.keys[self.count :]

    def rank(self, facts: Facts) -> int | None:
        """Return the place from 1, or None behind the last; what was not seen has its place as well."""
        place = bisect_left(self.keys, _age_key(facts)) + 1
        return place if place <= self.count else None


class Judge:
    """Decides about all tags, or all untagged manifests, of one repository.

    Everything is shown to :meth:`see` first and then asked for with :meth:`decide`, in any order; between the two,
    no more is held than the rules keep by count.
    """

    def __init__(self, rules: Sequence[RetentionRule], about: About, now: int) -> None:
        """Follow the ``rules`` that are ``about`` these, at the time ``now``."""
        self._now = now
        self._rules = [rule for rule in rules if rule.about == about]
        self._newest = {rule.name: _Newest(rule.keep.last) for rule in self._rules if rule.keep.last is not None}
        self.needs_all = bool(self._newest)

    def see(self, everything: Iterable[Facts]) -> None:
        """Take a part of all that is there; needless unless ``needs_all``."""
        counting = [(rule, self._newest[rule.name]) for rule in self._rules if rule.name in self._newest]
        for facts in everything:
            for rule, newest in counting:
                if rule.selects.matches(facts.name):
                    newest.see(facts)
        for _, newest in counting:
            newest.settle()

    def decide(self, facts: Facts) -> Decision:
        """Return the fate: what no rule covers stays, and of several rules one that keeps wins."""
        if facts.protected:
            return Decision(Fate.KEEP, "", facts.protected)
        covering = [rule for rule in self._rules if rule.selects.matches(facts.name)]
        if not covering:
            return Decision(Fate.UNCOVERED, "", "no rule covers it")
        against = []
        for rule in covering:
            reasons = []
            for kept, reason in self._conditions(rule, facts):
                if kept:
                    return Decision(Fate.KEEP, rule.name, reason)
                reasons.append(reason)
            against.append(reasons)
        if len(covering) == 1:
            return Decision(Fate.REMOVE, covering[0].name, ", ".join(against[0]))
        named = [f"{rule.name}: {', '.join(reasons)}" for rule, reasons in zip(covering, against, strict=True)]
        return Decision(Fate.REMOVE, ", ".join(rule.name for rule in covering), "; ".join(named))

    def _conditions(self, rule: RetentionRule, facts: Facts) -> Iterator[tuple[bool, str]]:
        """Yield whether each condition of a rule keeps it, and how that reads."""
        keep = rule.keep
        if keep.always:
            yield True, "always kept"
        if keep.matching is not None:
            kept = keep.matching.matches(facts.name)
            yield kept, f"{'matches' if kept else 'does not match'} {keep.matching}"
        if keep.last is not None:
            newest = self._newest[rule.name]
            rank = newest.rank(facts)
            yield (
                (False, f"behind the newest {keep.last} of {newest.seen}")
                if rank is None
                else (True, f"{_ordinal(rank)} newest of {keep.last} kept")
            )
        if keep.younger_than is not None:
            yield self._within(facts.since_ms, keep.younger_than, "{} old", "younger than")
        if keep.pulled_within is not None:
            if facts.pulled_ms is None or facts.pulled_ms < facts.since_ms:
                yield self._within(facts.since_ms, keep.pulled_within, "not pulled since it came {} ago", "within")
            else:
                yield self._within(facts.pulled_ms, keep.pulled_within, "pulled {} ago", "within")

    def _within(self, since_ms: int, life: Life, age: str, words: str) -> tuple[bool, str]:
        passed = max(0, self._now - since_ms)
        kept = passed < life.ms
        return kept, f"{age.format(age_text(passed))}, {words if kept else f'not {words}'} {life.text}"


def _age_key(facts: Facts) -> tuple[int, str]:
    return -facts.since_ms, facts.name


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in _TEENS else _SUFFIXES.get(number % 10, "th")
    return f"{number}{suffix}"
