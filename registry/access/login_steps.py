"""What the steps of a login share: room for another one, and the key that it ends in.

What a login ends in is an API key, which is listed, ended and narrowed as all are. Each step is a row of the database,
so that any process of the registry goes on with what another one began; each is good once, and for ten minutes.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, bindparam, delete, func, select

from registry.access.actors import Actor
from registry.access.keys import KeyService, NewKey
from registry.access.throttle import source_of
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import BrowserLogin, LoginRequest
from registry.errors import TooManyRequests

LIVES_MS = 600_000
"""How long a step is waited for."""
MOST_OF_ONE_SOURCE = 100
_HALF, _WAIT_SECONDS = 4, 60
_SWEEPS = tuple(
    delete(one).where(one.c.expires_ms <= bindparam("b_now")) for one in (table(BrowserLogin), table(LoginRequest))
)
_COUNTS = tuple(select(func.count()).where(one.source == bindparam("source")) for one in (BrowserLogin, LoginRequest))


class LoginSteps:
    """Begins steps of logins, and ends them in keys."""

    def __init__(self, database: Database, keys: KeyService, lives_seconds: int) -> None:
        """Make ``keys`` that live ``lives_seconds`` at most."""
        self.lives_ms = lives_seconds * 1000
        self._database = database
        self._keys = keys

    def begin(self, connection: Connection, nobody: Actor) -> int:
        """Return the time, once there is room for another login from there; what has expired goes.

        Raises :class:`TooManyRequests`.
        """
        now = self._database.now(connection)
        for statement in _SWEEPS:
            connection.execute(statement, {"b_now": now})
        source = source_of(nobody.address)
        under_way = sum(connection.execute(one, {"source": source}).scalar_one() for one in _COUNTS)
        if under_way >= MOST_OF_ONE_SOURCE:
            told = f"{under_way} logins from {nobody.address or 'there'} are under way"
            raise TooManyRequests(f"{told}: wait", retry_after=_WAIT_SECONDS)
        return now

    def key(self, connection: Connection, nobody: Actor, owner: str, host: str, lives_ms: int) -> NewKey:
        """Make the key of who has logged in; ``host`` is where it is for, empty for a browser's own."""
        name = f"login on {host}" if host else "login by browser"
        return self._keys.insert(connection, replace(nobody, principal=owner), owner, name, (), lives_ms, needed=None)


def with_dash(code: str) -> str:
    """Return a user code as people read it: ``WDJB-MJHT``."""
    return f"{code[:_HALF]}-{code[_HALF:]}"
