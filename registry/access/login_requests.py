"""Command lines that ask to be logged in: they show a code, and poll until somebody has allowed it.

Source: RFC 8628 (device authorization grant), with an API key in place of the access token.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.access.actors import Actor
from registry.access.keys import NewKey
from registry.access.login_steps import LIVES_MS, LoginSteps, with_dash
from registry.access.providers import Providers
from registry.access.secrets import hashed
from registry.access.throttle import Throttle, source_of
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import LoginRequest, Principal
from registry.errors import InputInvalid, LoginDenied, LoginExpired, LoginPending, LoginPolled

INTERVAL_MS, SLOWER_MS = 5_000, 5_000
"""How often who waits may ask, and how much longer who asked sooner has to wait (RFC 8628, 3.5)."""
MAX_HOST, MAX_ADDRESS = 64, 64
_TOLERANCE_MS = 500
_LETTERS, _LENGTH = "BCDFGHJKLMNPQRSTVWXZ", 8
"""Letters of user codes: they make no words, and none looks like another (RFC 8628, 6.1)."""
_REQUEST = table(LoginRequest)
_POLLED = (
    select(LoginRequest, Principal.name, Principal.disabled)
    .outerjoin(Principal, Principal.id == LoginRequest.principal_id)
    .where(LoginRequest.poll == bindparam("poll"), LoginRequest.expires_ms > bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request that was just made: the code for its user, and the secret with which its maker polls.

    ``expires_in`` and ``interval`` are in seconds.
    """

    user_code: str
    poll_secret: str
    expires_in: int
    interval: int


class LoginRequests:
    """Takes requests, and hands out what came of them. Everybody may ask: who it is, a provider says."""

    def __init__(self, database: Database, providers: Providers, steps: LoginSteps, throttle: Throttle) -> None:
        """Keep requests in ``database``."""
        self._database = database
        self._providers = providers
        self._steps = steps
        self._throttle = throttle

    def create(self, actor: Actor, host: str, lives_ms: int | None) -> NewRequest:
        """Ask for a key, for a command line on ``host``; it lives as long as it may where nothing else is wanted.

        Raises :class:`~registry.errors.ProviderUnknown`, :class:`InputInvalid`,
        :class:`~registry.errors.TooManyRequests`.
        """
        self._providers.require_any()
        if not 1 <= len(host) <= MAX_HOST or not host.isprintable():
            raise InputInvalid(f"a host's name is 1 to {MAX_HOST} printable characters", detail={"field": "host"})
        longest = self._steps.lives_ms
        if lives_ms is not None and lives_ms > longest:
            told = f"a key of a login is good for {longest // 1000} s at most (login_lifetime)"
            raise InputInvalid(told, detail={"field": "expires_in_seconds"})
        secret = secrets.token_urlsafe(32)

        def work(connection: Connection) -> str:
            now, code = self._steps.begin(connection, actor), "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
            row = {
                "poll": hashed(secret),
                "user_code": code,
                "host": host,
                "address": actor.address[:MAX_ADDRESS],
                "source": source_of(actor.address),
                "lives_ms": lives_ms or longest,
                "principal_id": None,
                "denied": False,
                "interval_ms": INTERVAL_MS,
                "polled_ms": None,
                "created_ms": now,
                "expires_ms": now + LIVES_MS,
            }
            connection.execute(insert(_REQUEST), row)
            return code

        code = self._database.write(work, durable=False)
        return NewRequest(with_dash(code), secret, LIVES_MS // 1000, INTERVAL_MS // 1000)

    def poll(self, actor: Actor, secret: str) -> NewKey:
        """Return the key that somebody allowed, once.

        Raises :class:`LoginPending` or one of its kinds, :class:`~registry.errors.TooManyRequests`, and
        :class:`~registry.errors.PrincipalInvalid` for who has too many keys.
        """
        attempt, poll = self._throttle.begin("", actor.address), hashed(secret)
        found = self._database.write(lambda connection: self._look(connection, actor, poll))
        if isinstance(found, LoginExpired):
            self._throttle.failed(attempt)
        if isinstance(found, LoginPending):
            raise found
        return found

    def _look(self, connection: Connection, actor: Actor, poll: str) -> NewKey | LoginPending:
        """Return what has come of a request; when it was looked at is kept also where that is nothing yet."""
        now, this = self._database.now(connection), _REQUEST.c.poll == poll
        row = connection.execute(_POLLED, {"poll": poll, "now": now}).first()
        if row is None:
            return LoginExpired()
        if row.polled_ms is not None and now < row.polled_ms + row.interval_ms - _TOLERANCE_MS:
            slower = {"polled_ms": now, "interval_ms": _REQUEST.c.interval_ms + SLOWER_MS}
            connection.execute(update(_REQUEST).where(this).values(slower))
            return LoginPolled()
        if row.principal_id is None and not row.denied:
            connection.execute(update(_REQUEST).where(this).values(polled_ms=now))
            return LoginPending()
        if connection.execute(delete(_REQUEST).where(this)).rowcount != 1:
            return LoginExpired()
        if row.denied or row.disabled:
            return LoginDenied()
        return self._steps.key(connection, actor, row.name, row.host, row.lives_ms)
