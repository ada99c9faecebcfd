"""Statements that go straight to the driver, compiled once: half the time for what runs in every request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

Clock = Callable[[], int]
"""Returns milliseconds since 1970-01-01 UTC."""
Run = Callable[[Connection, Mapping[str, object]], Any]
"""Runs a statement and returns the driver's cursor."""
Lookup = Callable[[Connection, Mapping[str, object]], Sequence[Any] | None]
Listing = Callable[[Connection, Mapping[str, object]], Sequence[Sequence[Any]]]
Change = Callable[[Connection, Mapping[str, object]], int]


@dataclass(frozen=True, slots=True)
class _Text:
    """A statement as the driver takes it: the names of its parameters in order, and those values that never change."""

    sql: str
    names: Sequence[str]
    fixed: Mapping[str, object]


def run_of(statement: Executable, clock: Clock | None) -> Run:
    """Return what runs a statement on SQLite's driver, compiled at its first run; its values must need no conversion.

    Where it asks for the time, ``clock`` gives it. Running raises :class:`TypeError` where values would be missing.
    """
    text = cache(partial(_compiled, statement))

    def run(connection: Connection, values: Mapping[str, object]) -> Any:  # noqa: ANN401 - cursors have no common type
        ready = text()
        given = {**ready.fixed, **values}
        if clock is not None and "now" in ready.names:
            given["now"] = clock()
        driver: Any = connection.connection.driver_connection
        return driver.execute(ready.sql, [given[name] for name in ready.names])

    return run


@lru_cache(maxsize=64)  # most statements live as long as their modules: every app of a process has the same
def _compiled(statement: Executable) -> _Text:
    compiled: Any = statement.compile(dialect=sqlite.dialect())  # type: ignore[attr-defined] # all that is executed compiles
    if not isinstance(compiled, SQLCompiler) or compiled.insert_prefetch:
        raise TypeError("a statement that goes to the driver names every value itself")
    fixed = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}
    return _Text(str(compiled), tuple(compiled.positiontup or ()), fixed)


def lookup(run: Run | None, statement: Executable, failures: type[Exception]) -> Lookup:
    """Return the function that gives a statement's first row; without ``run`` it is SQLAlchemy that asks."""

    def look_up(connection: Connection, values: Mapping[str, object]) -> Sequence[Any] | None:
        return connection.execute(statement, values).first()

    if run is None:
        return look_up

    def look_up_directly(connection: Connection, values: Mapping[str, object]) -> Sequence[Any] | None:
        try:
            row: tuple[Any, ...] | None = run(connection, values).fetchone()
        except failures:
            return look_up(connection, values)  # which tells what failed in SQLAlchemy's words
        return row

    return look_up_directly


def listing(run: Run | None, statement: Executable, failures: type[Exception]) -> Listing:
    """Return the function that gives all rows of a statement; without ``run`` it is SQLAlchemy that asks."""

    def read(connection: Connection, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        return connection.execute(statement, values).all()

    if run is None:
        return read

    def read_directly(connection: Connection, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        try:
            rows: list[tuple[Any, ...]] = run(connection, values).fetchall()
        except failures:
            return read(connection, values)  # which tells what failed in SQLAlchemy's words
        return rows

    return read_directly


def change(run: Run | None, statement: Executable, failures: type[Exception]) -> Change:
    """Return the function that changes rows and counts them; without ``run`` it is SQLAlchemy that does."""

    def alter(connection: Connection, values: Mapping[str, object]) -> int:
        return connection.execute(statement, values).rowcount

    if run is None:
        return alter

    def alter_directly(connection: Connection, values: Mapping[str, object]) -> int:
        try:
            return int(run(connection, values).rowcount)
        except failures:
            return alter(connection, values)  # what failed changed nothing; it is told in SQLAlchemy's words

    return alter_directly
