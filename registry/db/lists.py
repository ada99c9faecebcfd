"""Statements about lists of values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Text, bindparam, func

from registry.db.engine import Columns, Database


def narrowed(
    database: Database, statement: Select[*Columns], column: ColumnElement[Any], name: str
) -> Select[*Columns]:
    """Return ``statement`` for rows whose ``column`` is among the values of a parameter, all of them different.

    :meth:`~Database.listed` makes the parameter. SQLite is quicker with a join than with :meth:`~Database.among`: it
    goes through the values, and makes no index of them first.
    """
    if database.dialect != "sqlite":
        return statement.where(database.among(column, name))
    given = func.json_each(bindparam(name, type_=Text())).table_valued("value")
    return statement.join(given, column == given.c.value)
