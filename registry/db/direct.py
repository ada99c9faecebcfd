"""Statements that go straight to the driver, compiled once: half the time for what runs in every request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

Clock = Callable[[], int]
"""Returns milliseconds since 1970-01-01 UTC."""
Run = Callable[[Connection, Mapping[str, object]], Any]
"""Runs a statement and returns the driver's cursor."""
Lookup = Callable[[Connection, Mapping[str, object]], Sequence[Any] | None]
Change = Callable[[Connection, Mapping[str, object]], int]


def compile_statement(dialect: Dialect, statement: Executable, clock: Clock | None) -> Run:
    """Compile a statement for a driver that takes parameters by position; its values must need no conversion.

    Where it asks for the time, ``clock`` gives it. Raises :class:`TypeError` where values would be missing.
    """
    compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined] # all that is executed compiles
    if not isinstance(compiled, SQLCompiler) or compiled.insert_prefetch:
        raise TypeError("a statement that goes to the driver names every value itself")
    names, sql = tuple(compiled.positiontup or ()), str(compiled)
    fixed = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}
    clocked = clock if "now" in names else None

    def run(connection: Connection, values: Mapping[str, object]) -> Any:  # noqa: ANN401 - cursors have no common type
        given = {**fixed, **values}
        if clocked is not None:
            given["now"] = clocked()
        driver: Any = connection.connection.driver_connection
        return driver.execute(sql, [given[name] for name in names])

    return run


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
