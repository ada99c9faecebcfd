"""Where a principal may do something, as what a list is narrowed to before single names are decided about."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

_AFTER_ALL = "\x7f"
"""Sorts behind every character of a name."""
AT_ONCE = 500
"""So many names and starts go into one statement."""
MOST_STARTS = 50
"""Of more starts than this, those of one namespace are taken for all of it: each costs a statement time per row."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Names, and starts of names, in bytewise order; ``everything`` stands for all there are.

    It holds all that the principal may do it with, and perhaps more: a list is narrowed to it by the database, and
    what is found is decided about one by one.
    """

    names: Sequence[str] = ()
    starts: Sequence[str] = ()
    everything: bool = False
    bounds: Sequence[tuple[str, str]] = ()
    """All of it in order: a name and nothing, or a first name and what is behind the last."""

    @classmethod
    def of(cls, names: Iterable[str], starts: Iterable[str]) -> Self:
        """Sort them, and leave out what another start holds."""
        kept = _outermost(starts)
        if len(kept) > MOST_STARTS:
            kept = _outermost(start[: start.find("/") + 1] or start for start in kept)
        alone = tuple(sorted(name for name in names if not _held(kept, name)))
        return cls(alone, kept, bounds=tuple(sorted([*((name, "") for name in alone), *map(range_of, kept)])))

    @property
    def empty(self) -> bool:
        """Whether there is nothing."""
        return not (self.everything or self.names or self.starts)

    def holds(self, name: str) -> bool:
        """Tell whether a name is in it."""
        return self.everything or name in self.names or _held(self.starts, name)

    def pieces(self, last: str) -> Iterator[tuple[Sequence[str], Sequence[tuple[str, str]]]]:
        """Yield what comes after the name ``last`` in pieces that follow one another, each small enough for a query.

        A piece is some names, and some ranges (a first name, and what is behind the last).
        """
        first = bisect_right(self.bounds, last, key=lambda bound: bound[1] or bound[0])
        for place in range(first, len(self.bounds), AT_ONCE):
            piece = self.bounds[place : place + AT_ONCE]
            yield [one for one, end in piece if not end], [found for found in piece if found[1]]


EVERYTHING = Reach(everything=True)


def range_of(start: str) -> tuple[str, str]:
    """Return the first name with a start, and what is behind the last one."""
    return start, start + _AFTER_ALL


def _outermost(starts: Iterable[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for start in sorted(set(starts)):
        if not (kept and start.startswith(kept[-1])):
            kept.append(start)
    return tuple(kept)


def _held(starts: Sequence[str], name: str) -> bool:
    place = bisect_right(starts, name)
    return place > 0 and name.startswith(starts[place - 1])
