"""The declarative base and the column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import BigInteger, ForeignKey, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.orm import DeclarativeBase, mapped_column

# SQLite makes only INTEGER primary keys aliases of the row id.
_BigId = BigInteger().with_variant(Integer, "sqlite")


NEVER_REUSED = {"sqlite_autoincrement": True}
"""For tables whose ids are held across transactions: SQLite may otherwise give a deleted row's id to a new one."""


def text_type(length: int) -> String:
    """Return text that is compared and sorted byte by byte on every database."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class Base(DeclarativeBase):
    """All tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def table(model: type[Base]) -> Table:
    """Return a model's table: statements on it compile and run without the ORM's part."""
    found = model.__table__
    if not isinstance(found, Table):
        raise TypeError(f"{model.__name__} is no table")
    return found


Id = Annotated[int, mapped_column(_BigId, primary_key=True, autoincrement=True)]
Milliseconds = Annotated[int, mapped_column(BigInteger)]
"""A point in time: milliseconds since 1970-01-01 UTC."""
MaybeMilliseconds = Annotated[int | None, mapped_column(BigInteger)]
Bytes = Annotated[int, mapped_column(BigInteger)]
"""A length in bytes."""
Payload = Annotated[bytes, mapped_column(LargeBinary)]
DigestText = Annotated[str, mapped_column(text_type(160))]
Name = Annotated[str, mapped_column(text_type(255))]
MediaType = Annotated[str, mapped_column(text_type(255))]
Actor = Annotated[str, mapped_column(String(255))]
LongText = Annotated[str, mapped_column(Text)]


def reference(target: str, *, cascade: bool = False) -> ForeignKey:
    """Return a foreign key to ``target``; ``cascade`` lets rows go with what they belong to."""
    return ForeignKey(target, ondelete="CASCADE" if cascade else None)
