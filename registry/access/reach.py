"""Where a principal may do something, as what a list is narrowed to before single names are decided about."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

_AFTER_ALL = "\x7f"
"""Sorts behind every character of a name."""
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Reach:
    """Names, and starts of names, in bytewise order; ``everything`` stands for all there are.

    It holds all that the principal may do it with, and perhaps more: a list is narrowed to it by the database, and
    what is found is decided about one by one.
    """

    names: Sequence[str] = ()
    starts: Sequence[str] = ()
    everything: bool = False

    @classmethod
    def of(cls, names: Iterable[str], starts: Iterable[str]) -> Self:
        """Sort them, and leave out what another start holds."""
        kept: list[str] = []
        for start in sorted(starts):
            if not (kept and start.startswith(kept[-1])):
                kept.append(start)
        return cls(tuple(sorted(name for name in names if not _held(kept, name))), tuple(kept))

    @property
    def empty(self) -> bool:
        """Whether there is nothing."""
        return not (self.everything or self.names or self.starts)

    def holds(self, name: str) -> bool:
        """Tell whether a name is in it."""
        return self.everything or name in self.names or _held(self.starts, name)

    def pieces(self, last: str) -> Iterator[tuple[Sequence[str], Sequence[tuple[str, str]], str]]:
        """Yield what comes after the name ``last`` in pieces that follow one another, each small enough for a query.

        A piece is some names, some ranges (a first name, and what is behind the last), and the name behind which the
        next piece begins.
        """
        bounds = [(name, "") for name in self.names[bisect_right(self.names, last) :]]
        bounds += [found for found in map(range_of, self.starts) if found[1] > last]
        bounds.sort()
        for place in range(0, len(bounds), AT_ONCE):
            piece = bounds[place : place + AT_ONCE]
            names, ranges = [one for one, end in piece if not end], [(one, end) for one, end in piece if end]
            yield names, ranges, piece[-1][1] or piece[-1][0]


EVERYTHING = Reach(everything=True)


def range_of(start: str) -> tuple[str, str]:
    """Return the first name with a start, and what is behind the last one."""
    return start, start + _AFTER_ALL


def _held(starts: Sequence[str], name: str) -> bool:
    place = bisect_right(starts, name)
    return place > 0 and name.startswith(starts[place - 1])
