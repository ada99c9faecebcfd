"""Where a principal may do something, as what a list is narrowed to before single names are decided about."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

_AFTER_ALL = "\x7f"
"""Sorts behind every character of a name."""
AT_ONCE = 500
"""So many names and starts go into one statement."""
MOST_STARTS = 50
"""Of more starts than this, those of one namespace are taken for all of it: each is asked for by itself."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Stretch:
    """Neighbours in a reach, which an index finds: some names, or all from ``first`` to before ``behind``."""

    names: Sequence[str] = ()
    first: str = ""
    behind: str = ""

    @property
    def end(self) -> str:
        """The last name, or what is behind it."""
        return self.names[-1] if self.names else self.behind


@dataclass(frozen=True, slots=True)
class Reach:
    """Names, and starts of names, in bytewise order; ``everything`` stands for all there are.

    It holds all that the principal may do it with, and perhaps more: a list is narrowed to it by the database, and
    what is found is decided about one by one.
    """

    names: Sequence[str] = ()
    starts: Sequence[str] = ()
    everything: bool = False
    stretches: Sequence[Stretch] = ()
    """All of it, in order."""

    @classmethod
    def of(cls, names: Iterable[str], starts: Iterable[str]) -> Self:
        """Sort them, and leave out what another start holds."""
        kept = _outermost(starts)
        if len(kept) > MOST_STARTS:
            kept = _outermost(start[: start.find("/") + 1] or start for start in kept)
        alone = tuple(sorted(name for name in names if not _held(kept, name)))
        return cls(alone, kept, stretches=tuple(_stretches(alone, kept)))

    @property
    def empty(self) -> bool:
        """Whether there is nothing."""
        return not (self.everything or self.names or self.starts)

    def holds(self, name: str) -> bool:
        """Tell whether a name is in it."""
        return self.everything or name in self.names or _held(self.starts, name)

    def since(self, name: str) -> Sequence[Stretch]:
        """Return the stretches that do not end before a name, in order."""
        return self.stretches[bisect_left(self.stretches, name, key=lambda stretch: stretch.end) :]


EVERYTHING = Reach(everything=True)


def range_of(start: str) -> tuple[str, str]:
    """Return the first name with a start, and what is behind the last one."""
    return start, start + _AFTER_ALL


def _stretches(names: Sequence[str], starts: Sequence[str]) -> Iterator[Stretch]:
    place = 0
    for first, behind in map(range_of, starts):
        before = bisect_left(names, first)
        yield from _runs(names[place:before])
        yield Stretch(first=first, behind=behind)
        place = before
    yield from _runs(names[place:])


def _runs(names: Sequence[str]) -> Iterator[Stretch]:
    return (Stretch(names[place : place + AT_ONCE]) for place in range(0, len(names), AT_ONCE))


def _outermost(starts: Iterable[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for start in sorted(set(starts)):
        if not (kept and start.startswith(kept[-1])):
            kept.append(start)
    return tuple(kept)


def _held(starts: Sequence[str], name: str) -> bool:
    place = bisect_right(starts, name)
    return place > 0 and name.startswith(starts[place - 1])
