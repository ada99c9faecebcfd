"""Slowing down who guesses: by the name and the address together, and by the address alone.

A name by itself is never locked: who guesses from many addresses does not keep its owner out. Counts are kept in the
database, so that all workers share them and a restart forgets nothing; those of a time when the registry is read-only
are in the memory of each process. An address of IPv6 stands for its /64, all of which one client has.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import LoginFailure
from registry.errors import ReadOnly, TooManyRequests

_FAILURE = table(LoginFailure)
_FREE_OF_PAIR, _FREE_OF_ADDRESS = 5, 50
_LONGEST_SECONDS = 900
_OF_ONE_CLIENT, _LONGEST_ADDRESS = 64, 64
_TOLD_APART = 8
"""So many hex digits of a hash are kept of a name: too few to find out by them what it was."""
_FORGOTTEN_MS = 3_600_000
_MOST_UNKEPT = 10_000
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
        self._unkept: dict[tuple[str, str], tuple[int, int]] = {}
        """Failures, and the time of the last one, by address and name: those that could not be written."""

    def begin(self, name: str, address: str) -> Try:
        """Raise :class:`TooManyRequests` where too many tries failed lately; ``name`` is empty where none was shown."""
        source, name = source_of(address), _told_apart(name)
        with self._database.read() as connection:
            rows = connection.execute(_FIND, {"address": source, "name": name}).all()
            now = self._database.now(connection) if rows or self._unkept else 0
        counts = self._with_unkept(source, name, {row.name: (row.failures, row.last_ms) for row in rows})
        waits = (last + _wait_ms(failures, pair=bool(known)) - now for known, (failures, last) in counts.items())
        wait = max(waits, default=0)
        if wait > 0:
            seconds = -(-wait // 1000)
            raise TooManyRequests(
                f"too many wrong credentials came from {address or 'there'}: wait {seconds} s", retry_after=seconds
            )
        return Try(name, source, failed=any(counts))

    def failed(self, attempt: Try, *, of_address: bool = True) -> None:
        """Count a wrong one; without ``of_address`` for the name from there alone."""

        def work(connection: Connection) -> None:
            now = self._database.now(connection)
            connection.execute(_SWEEP, {"b_before": now - _FORGOTTEN_MS})
            for name in _counted(attempt, of_address=of_address):
                row = {"address": attempt.address, "name": name, "failures": 1, "last_ms": now}
                statement = self._database.insert(LoginFailure).values(row)
                counted = {"failures": _FAILURE.c.failures + 1, "last_ms": now}
                connection.execute(statement.on_conflict_do_update(index_elements=["address", "name"], set_=counted))

        try:
            self._database.write(work, durable=False)
        except ReadOnly:
            self._note(attempt, of_address=of_address)

    def succeeded(self, attempt: Try) -> None:
        """Forget the wrong ones of this name from there; those of the address stay: others may be guessed from it."""
        if attempt.failed:
            values = {"b_address": attempt.address, "b_name": attempt.name}
            self._unkept.pop((attempt.address, attempt.name), None)
            with suppress(ReadOnly):  # the next one is let in as well, as this one was
                self._database.write(lambda connection: connection.execute(_FORGET, values).rowcount, durable=False)

    def _note(self, attempt: Try, *, of_address: bool) -> None:
        """Count a wrong one where nothing may be written; of more than can be kept, the oldest are forgotten.

        So are those that the database would have forgotten by now.
        """
        now = self._database.clock_ms()
        for name in _counted(attempt, of_address=of_address):
            failures, last = self._unkept.pop((attempt.address, name), (0, 0))
            self._unkept[attempt.address, name] = (1 if last < now - _FORGOTTEN_MS else failures + 1, now)
        while len(self._unkept) > _MOST_UNKEPT:
            self._unkept.pop(next(iter(self._unkept)), None)

    def _with_unkept(self, address: str, name: str, counts: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        """Add to the ``counts`` of a name, and of its address as a whole, what is in memory."""
        for known in {"", name}:
            noted = self._unkept.get((address, known))
            if noted is not None and noted[1] >= self._database.clock_ms() - _FORGOTTEN_MS:
                failures, last = counts.get(known, (0, 0))
                counts[known] = (failures + noted[0], max(last, noted[1]))
        return counts


def _counted(attempt: Try, *, of_address: bool) -> Sequence[str]:
    """Return the names that a wrong one counts for, in one order, so that no transaction waits for another."""
    return sorted({attempt.name, *([""] if of_address else [])})


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
