"""Lists of what an actor may see: narrowed by the database, decided about name by name, and filled up to a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, or_

from registry.access.actors import Actor
from registry.access.authorizer import AccessRequest, Action, Authorizer, refuse_failed
from registry.access.reach import AT_ONCE, Reach, range_of
from registry.db.engine import Database
from registry.names import RepositoryName
from registry.pages import Page, cut

T = TypeVar("T")
K = TypeVar("K", bound=str | tuple[str, int])
_NAMES = "names_within"
_LEAST = 100
"""So many rows at least are looked at at once, however few are missing."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A part of a reach that fits into a statement: names, and ranges (the first name, and what is behind the last)."""

    names: Sequence[str] = ()
    ranges: Sequence[tuple[str, str]] = ()

    def condition(self, database: Database, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the condition that a name is in it, for a statement that is given :meth:`values`."""
        within = [(column >= start) & (column < end) for start, end in self.ranges]
        if self.names or not within:
            return or_(database.among(column, _NAMES), *within)
        return and_(column >= self.ranges[0][0], column < self.ranges[-1][1], or_(*within))

    def values(self, database: Database) -> Mapping[str, object]:
        """Return the values of the condition's parameters."""
        return {_NAMES: database.listed(self.names)} if self.names or not self.ranges else {}

    def kinds(self) -> Iterator[Narrowing]:
        """Yield the names and the ranges apart: for each alone the database goes by its index."""
        if self.names:
            yield Narrowing(names=self.names)
        if self.ranges:
            yield Narrowing(ranges=self.ranges)


Fetch = Callable[[Narrowing | None, K, int], Sequence[T]]
"""Returns at most so many rows after a key, in order; without a narrowing of all names."""


def narrowings(reach: Reach, last: str) -> Iterator[Narrowing | None]:
    """Yield the parts of a reach after the name ``last``, in order; None stands for everything."""
    if reach.everything:
        yield None
        return
    for names, ranges in reach.pieces(last):
        yield Narrowing(names, ranges)


def at_once(reach: Reach) -> Narrowing | None:
    """Return all of a reach as one part, or None where it is too large for a statement, or everything."""
    if reach.everything or len(reach.names) + len(reach.starts) > AT_ONCE:
        return None
    return Narrowing(reach.names, list(map(range_of, reach.starts)))


def seen(authorizer: Authorizer, actor: Actor, rows: Sequence[T], name_of: Callable[[T], str]) -> Sequence[T]:
    """Return the rows whose repository an actor may see; raises :class:`Denied` where a plugin could not tell."""
    requests = [AccessRequest(actor, Action.LIST, RepositoryName(name_of(row))) for row in rows]
    decisions = authorizer.authorize(requests) if requests else ()
    for request, decision in zip(requests, decisions, strict=True):
        refuse_failed(request, decision)
    return [row for row, decision in zip(rows, decisions, strict=True) if decision.allowed]


def visible(
    authorizer: Authorizer,
    actor: Actor,
    limit: int,
    start: tuple[str, K],
    fetch: Fetch[K, T],
    name_of: Callable[[T], str],
    key_of: Callable[[T], K],
) -> Page[T]:
    """Return at most ``limit`` rows, in the order of names, of those that an actor may see.

    ``start`` is the name and the key after which the page begins. Raises as :func:`seen` does.
    """
    found: list[T] = []
    last_name, key = start
    for narrowing in narrowings(authorizer.reach(actor, Action.LIST), last_name):
        more = True
        while more and len(found) <= limit:
            wanted = max(limit + 1 - len(found), min(_LEAST, limit + 1))
            kinds = [None] if narrowing is None else narrowing.kinds()
            rows = sorted((row for kind in kinds for row in fetch(kind, key, wanted)), key=key_of)[:wanted]
            found += seen(authorizer, actor, rows, name_of)
            more = len(rows) == wanted
            key = key_of(rows[-1]) if rows else key
    return cut(found, limit)
