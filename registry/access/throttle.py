"""Slowing down who guesses: by the name and the address together, and by the address alone.

A name by itself is never locked: who guesses from many addresses does not keep its owner out. Counts are kept in the
database, so that all workers share them and a restart forgets nothing. An address of IPv6 stands for its /64, all of
which one client has.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import LoginFailure
from registry.errors import TooManyRequests

_FAILURE = table(LoginFailure)
_FREE_OF_PAIR, _FREE_OF_ADDRESS = 5, 50
_LONGEST_SECONDS = 900
_OF_ONE_CLIENT, _LONGEST_ADDRESS = 64, 64
_TOLD_APART = 8
"""So many hex digits of a hash are kept of a name: too few to find out by them what it was."""
_FORGOTTEN_MS = 3_600_000
_FIND = select(LoginFailure.name, LoginFailure.failures, LoginFailure.last_ms).where(
    LoginFailure.address == bindparam("address"), LoginFailure.name.in_(["", bindparam("name")])
)
_FORGET = delete(_FAILURE).where(_FAILURE.c.address == bindparam("b_address"), _FAILURE.c.name == bindparam("b_name"))
_SWEEP = delete(_FAILURE).where(_FAILURE.c.last_ms < bindparam("b_before"))


@dataclass(frozen=True, slots=True)
class Try:
    """A try to log in from ``address``, as whom ``name`` tells apart; ``failed``: there were wrong ones before."""

    name: str
    address: str
    failed: bool


class Throttle:
    """Counts wrong credentials."""

    def __init__(self, database: Database) -> None:
        """Keep counts in ``database``."""
        self._database = database

    def begin(self, name: str, address: str) -> Try:
        """Raise :class:`TooManyRequests` where too many tries failed lately; ``name`` is empty where none was shown."""
        source, name = source_of(address), _told_apart(name)
        with self._database.read() as connection:
            rows = connection.execute(_FIND, {"address": source, "name": name}).all()
            now = self._database.now(connection) if rows else 0
        wait = max((row.last_ms + _wait_ms(row.failures, pair=bool(row.name)) - now for row in rows), default=0)
        if wait > 0:
            seconds = -(-wait // 1000)
            raise TooManyRequests(
                f"too many wrong credentials came from {address or 'there'}: wait {seconds} s", retry_after=seconds
            )
        return Try(name, source, failed=any(row.name for row in rows))

    def failed(self, attempt: Try, *, of_address: bool = True) -> None:
        """Count a wrong one; without ``of_address`` for the name from there alone."""

        def work(connection: Connection) -> None:
            now = self._database.now(connection)
            connection.execute(_SWEEP, {"b_before": now - _FORGOTTEN_MS})
            for name in sorted(
                {attempt.name, *([""] if of_address else [])}
            ):  # in one order, so that none waits for another
                row = {"address": attempt.address, "name": name, "failures": 1, "last_ms": now}
                statement = self._database.insert(LoginFailure).values(row)
                counted = {"failures": _FAILURE.c.failures + 1, "last_ms": now}
                connection.execute(statement.on_conflict_do_update(index_elements=["address", "name"], set_=counted))

        self._database.write(work, durable=False)

    def succeeded(self, attempt: Try) -> None:
        """Forget the wrong ones of this name from there; those of the address stay: others may be guessed from it."""
        if attempt.failed:
            values = {"b_address": attempt.address, "b_name": attempt.name}
            self._database.write(lambda connection: connection.execute(_FORGET, values).rowcount, durable=False)


def _told_apart(name: str) -> str:
    """Return what tells a name from others, and does not tell it: a password may have been typed as a name."""
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:_TOLD_APART] if name else ""


def source_of(address: str) -> str:
    """Return the network that an address counts as."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # of a socket without an address
        return address[:_LONGEST_ADDRESS]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, _OF_ONE_CLIENT), strict=False))


def _wait_ms(failures: int, *, pair: bool) -> int:
    """Return how long after the last failure nothing is tried: doubling from a second, a quarter of an hour at most."""
    free = _FREE_OF_PAIR if pair else _FREE_OF_ADDRESS
    if failures < free:
        return 0
    return int(1000 * min(2.0 ** min(failures - free, 20), _LONGEST_SECONDS))
