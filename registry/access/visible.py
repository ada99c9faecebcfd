"""Lists of what an actor may see: narrowed by the database, decided about name by name, and filled up to a page."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.access.reach import AT_ONCE, Reach, Stretch, range_of
from registry.db.engine import Database
from registry.db.lists import narrowed
from registry.pages import Page, cut

T = TypeVar("T")
K = TypeVar("K", bound=str | tuple[str, int])
_NAMES, _FIRST, _BEHIND = "names_within", "first_within", "behind_those_within"
_LEAST = 100
"""So many rows at least are looked at at once, however few are missing."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A reach that fits into one statement: names, and ranges (the first name, and what is behind the last)."""

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


class Narrowed:
    """A statement that lists rows by a column of names, and what it is for each kind of stretch: three in all."""

    def __init__(self, database: Database, statement: Select[Any], column: ColumnElement[Any]) -> None:
        """Narrow ``statement``, which has a limit, to some names, and to a range of them, in ``column``."""
        self._database = database
        self._statement = statement
        self._to_names = narrowed(database, statement.limit(None), column, _NAMES)  # which are few: that is a limit
        self._names: MutableMapping[Stretch, Mapping[str, object]] = WeakKeyDictionary()
        self._to_range = statement.where(column >= bindparam(_FIRST), column < bindparam(_BEHIND))

    def to(self, stretch: Stretch | None) -> tuple[Select[Any], Mapping[str, object]]:
        """Return the statement for a stretch, or for all names, with the values of its narrowing."""
        if stretch is None:
            return self._statement, {}
        if not stretch.names:
            return self._to_range, {_FIRST: stretch.first, _BEHIND: stretch.behind}
        values = self._names.get(stretch)
        if values is None:
            values = self._names[stretch] = {_NAMES: self._database.listed(stretch.names)}
        return self._to_names, values


Fetch = Callable[[Stretch | None, K, int], Sequence[T]]
"""Returns so many rows of a stretch, or of all names, after a key and in order; of a stretch of names all there are."""


def at_once(reach: Reach) -> Narrowing | None:
    """Return all of a reach for one statement, or None where it is too large for that, or everything."""
    if reach.everything or len(reach.names) + len(reach.starts) > AT_ONCE:
        return None
    return Narrowing(reach.names, list(map(range_of, reach.starts)))


def seen(authorizer: Authorizer, actor: Actor, rows: Sequence[T], name_of: Callable[[T], str]) -> Sequence[T]:
    """Return the rows whose repository an actor may see; raises :class:`Denied` where a plugin could not tell."""
    return list(compress(rows, authorizer.listed(actor, list(map(name_of, rows)))))


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
    last_name, key = start
    reach = authorizer.reach(actor, Action.LIST)
    rows = _Rows([None] if reach.everything else reach.since(last_name), fetch, key, key_of)
    found: list[T] = []
    more = True
    while more and len(found) <= limit:
        wanted = max(limit + 1 - len(found), min(_LEAST, limit + 1))
        some = rows.take(wanted)
        found += seen(authorizer, actor, some, name_of)
        more = len(some) == wanted
    return cut(found, limit)


class _Rows(Generic[K, T]):
    """The rows of stretches that follow one another, each read when it is wanted."""

    def __init__(
        self, stretches: Sequence[Stretch | None], fetch: Fetch[K, T], key: K, key_of: Callable[[T], K]
    ) -> None:
        self._left = deque(stretches)
        self._fetch = fetch
        self._key = key
        self._key_of = key_of

    def take(self, count: int) -> Sequence[T]:
        """Return the next rows: so many, or those that are left."""
        taken: list[T] = []
        while self._left and len(taken) < count:
            wanted = count - len(taken)
            rows = self._fetch(self._left[0], self._key, wanted)[:wanted]
            taken += rows
            if rows:
                self._key = self._key_of(rows[-1])
            if len(rows) < wanted:
                self._left.popleft()
        return taken
