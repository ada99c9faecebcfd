"""Scanning tables piece by piece, beside whoever else works on them.

What is wrong is said as a statement. It runs over a window of row ids, so that no read lasts long, and what it finds
is asked for again, alone: what only one of both looks sees was just being changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select
from sqlalchemy.orm import InstrumentedAttribute

from registry.db.engine import Database
from registry.fsck.findings import Finding, Kind, Severity

_WINDOW = 2000
Column = InstrumentedAttribute[int]
AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is checked: the repositories with these ids, or (None) everything."""

    repositories: Sequence[int] | None = None

    def limit(self, statement: AnySelect, repository: Column | None) -> AnySelect:
        """Return ``statement`` for this scope; ``repository`` is its column of repository ids, if it has one."""
        if self.repositories is None or repository is None:
            return statement
        return statement.where(repository.in_(self.repositories))

    @property
    def whole(self) -> bool:
        """Whether everything is checked."""
        return self.repositories is None


Repair = Callable[[Connection, AnyRow], str]
"""Mends what a row tells of in the caller's transaction, which still finds it, and says what it did."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that must not be: rows of ``statement``, which are wrong.

    ``column`` holds the ids that windows are made of, and ``repository`` those of repositories. ``subject`` and
    ``detail`` are filled in from the row, which has what tells it from others in all of its columns.
    """

    kind: Kind
    statement: AnySelect
    column: Column
    repository: Column | None
    subject: str
    detail: str
    severity: Severity = Severity.ERROR
    repair: Repair | None = None


class Scanner:
    """Looks for faults."""

    def __init__(self, database: Database, scope: Scope) -> None:
        """Look within ``scope``."""
        self._database = database
        self._scope = scope

    def windows(self, column: Column) -> Iterator[tuple[int, int, int]]:
        """Yield ``after``, ``upto`` and the last id there was at the start."""
        with self._database.read() as connection:
            last = int(connection.scalar(select(func.max(column))) or 0)
        for after in range(0, last, _WINDOW):
            yield after, min(after + _WINDOW, last), last

    def count(self, column: Column, repository: Column | None, after: int, upto: int) -> int:
        """Return how many rows of the scope are in a window."""
        statement = self._scope.limit(select(func.count()).where(column > after, column <= upto), repository)
        with self._database.read() as connection:
            return int(connection.scalar(statement) or 0)

    def rows(self, fault: Fault, after: int, upto: int) -> Iterator[AnyRow]:
        """Yield the rows of a window that are wrong at two looks."""
        with self._database.read() as connection:
            first = self._fetch(connection, fault, after, upto)
        for row in first:
            with self._database.read() as connection:
                again = self._again(connection, fault, row)
            if again is not None:
                yield again

    def pairs(self, fault: Fault, after: int, upto: int) -> Iterator[tuple[Finding, AnyRow]]:
        """Yield the findings of a window, each with its row."""
        for row in self.rows(fault, after, upto):
            values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
            subject, detail = fault.subject.format_map(values), fault.detail.format_map(values)
            yield Finding(fault.severity, fault.kind, subject, detail, self._repair(fault, row)), row

    def look(self, faults: Iterable[Fault], after: int, upto: int) -> Iterator[Finding]:
        """Yield the findings of a window."""
        for fault in faults:
            for finding, _ in self.pairs(fault, after, upto):
                yield finding

    def _repair(self, fault: Fault, row: AnyRow) -> Callable[[], str] | None:
        mend = fault.repair
        if mend is None:
            return None

        def work(connection: Connection) -> str:
            if self._again(connection, fault, row) is None:
                return "it is well by now"
            return mend(connection, row)

        return lambda: self._database.write(work)

    def _again(self, connection: Connection, fault: Fault, row: AnyRow) -> AnyRow | None:
        found = self._fetch(connection, fault, row.at - 1, row.at)
        return next((one for one in found if tuple(one) == tuple(row)), None)

    def _fetch(self, connection: Connection, fault: Fault, after: int, upto: int) -> Sequence[AnyRow]:
        statement = fault.statement.where(fault.column > bindparam("after"), fault.column <= bindparam("upto"))
        values = {"after": after, "upto": upto, "now": self._database.now(connection)}
        return connection.execute(self._scope.limit(statement, fault.repository), values).all()
