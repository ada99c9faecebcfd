"""What backups hold: while one is being made, nobody removes bytes, so that all that its snapshot names is there.

A hold is committed before the snapshot is taken. What is given up after that is queued for deletion by a transaction
that comes later still, and whoever removes what is queued looks for holds after that one.
"""

from __future__ import annotations

from typing import cast

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, insert, select, update

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import BackupHold

_HOLD = table(BackupHold)
_SWEEP = delete(_HOLD).where(_HOLD.c.lease_until <= bindparam("b_now"))
_RENEW = (
    update(_HOLD)
    .where(_HOLD.c.name == bindparam("b_name"), _HOLD.c.lease_until > bindparam("b_now"))
    .values(lease_until=bindparam("b_until"))
)
_END = delete(_HOLD).where(_HOLD.c.name == bindparam("b_name"))


class Holds:
    """Keeps bytes for who copies them; the registry being read-only changes nothing about that."""

    def __init__(self, database: Database, lease_ms: int) -> None:
        """Hold for ``lease_ms`` milliseconds, unless renewed: who died holds nothing."""
        self._database = database
        self._lease_ms = lease_ms

    def begin(self, name: str) -> None:
        """Hold all bytes from now on."""

        def work(connection: Connection) -> None:
            now = self._database.now(connection)
            connection.execute(_SWEEP, {"b_now": now})
            connection.execute(insert(_HOLD), {"name": name, "created_ms": now, "lease_until": now + self._lease_ms})

        self._database.write(work, always=True)

    def renew(self, name: str) -> bool:
        """Hold them longer; returns False where the hold had ended, and bytes may be gone."""

        def work(connection: Connection) -> bool:
            now = self._database.now(connection)
            values = {"b_name": name, "b_now": now, "b_until": now + self._lease_ms}
            return connection.execute(_RENEW, values).rowcount == 1

        return self._database.write(work, always=True)

    def end(self, name: str) -> None:
        """Hold nothing any more."""
        self._database.write(lambda connection: connection.execute(_END, {"b_name": name}), always=True)


def held(now: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a backup holds all bytes at the time ``now``."""
    return cast("ColumnElement[bool]", exists().where(_HOLD.c.lease_until > now))


def is_held(database: Database) -> bool:
    """Tell whether a backup holds all bytes now."""
    with database.read() as connection:
        return bool(connection.scalar(select(held(database.now_clause()))))
