"""One worker among many does what only one may do at a time: it holds a lease, and goes on while it renews that."""

from __future__ import annotations

import time

from sqlalchemy import Connection, bindparam, or_, select, update

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Job

_JOB = table(Job)
_FIND = select(Job.holder, Job.lease_until).where(Job.name == bindparam("name"))
_LOCK = select(Job.holder).where(Job.name == bindparam("name")).with_for_update(read=True)
_TAKE = (
    update(_JOB)
    .where(
        _JOB.c.name == bindparam("b_name"),
        or_(_JOB.c.holder == bindparam("b_holder"), _JOB.c.lease_until <= bindparam("b_now")),
    )
    .values(holder=bindparam("b_holder"), lease_until=bindparam("b_until"))
)
_RELEASE = (
    update(_JOB).where(_JOB.c.name == bindparam("b_name"), _JOB.c.holder == bindparam("b_holder")).values(lease_until=0)
)


class LeaseLost(Exception):
    """Somebody else holds the lease by now: what was begun is given up."""


class Lease:
    """The right to do something alone, of one holder."""

    def __init__(self, database: Database, name: str, holder: str, seconds: float) -> None:
        """Hold the lease ``name`` as ``holder``; a holder that dies is replaced after ``seconds``."""
        self._database = database
        self._name = name
        self._holder = holder
        self._seconds = seconds
        self._sure_until = 0.0

    def take(self) -> bool:
        """Take the lease, or renew it once half of it is over; returns whether it is held. Mostly costs nothing."""
        if time.monotonic() < self._sure_until:
            return True
        started = time.monotonic()
        if self._is_taken() or not self._database.write(self._write, durable=False):
            return False
        self._sure_until = started + self._seconds / 2
        return True

    def require(self, connection: Connection) -> None:
        """Raise :class:`LeaseLost` unless the lease is held until the caller's transaction ends."""
        if connection.execute(_LOCK, {"name": self._name}).scalar() != self._holder:
            self._sure_until = 0.0
            raise LeaseLost

    def release(self) -> None:
        """Leave the lease to whoever comes next."""
        if self._sure_until:
            values = {"b_name": self._name, "b_holder": self._holder}
            self._database.write(lambda connection: connection.execute(_RELEASE, values), durable=False)
            self._sure_until = 0.0

    def _is_taken(self) -> bool:
        with self._database.read() as connection:
            row = connection.execute(_FIND, {"name": self._name}).first()
            return row is not None and row.holder != self._holder and row.lease_until > self._database.now(connection)

    def _write(self, connection: Connection) -> bool:
        now = self._database.now(connection)
        connection.execute(self._database.insert_ignore(Job).values(name=self._name, due_ms=0, lease_until=0))
        values = {"b_name": self._name, "b_holder": self._holder, "b_now": now}
        taken = connection.execute(_TAKE, {**values, "b_until": now + round(self._seconds * 1000)})
        return taken.rowcount == 1
