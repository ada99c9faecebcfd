"""What went wrong in the database: to be tried again, or to be told to the client."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from registry.errors import InsufficientStorage, Unavailable

_RETRIED_STATES = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available
_FULL_STATES = {"53100"}
_NO_TABLE_STATE = "42P01"


def is_conflict(error: DBAPIError) -> bool:
    """Tell whether a transaction failed only because of others at the same time: all of it may run again."""
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state in _RETRIED_STATES
    return isinstance(error, OperationalError) and "locked" in str(error.orig)


def translated(error: DBAPIError | PoolTimeout) -> Exception:
    """Return what the client is told, or ``error`` itself where the statement was at fault."""
    if isinstance(error, PoolTimeout):
        return Unavailable("the database has no connection free")
    reason = str(error.orig)
    if "disk is full" in reason or getattr(error.orig, "sqlstate", None) in _FULL_STATES:
        return InsufficientStorage("the database's disk is full")
    if "no such table" in reason or getattr(error.orig, "sqlstate", None) == _NO_TABLE_STATE:
        return Unavailable("the database lacks its tables: run moorage db upgrade")
    if isinstance(error, OperationalError | InterfaceError):
        return Unavailable("the database does not answer")
    return error
