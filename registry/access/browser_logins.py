"""Browsers that are sent to a provider and come back: whoever logged in there then allows a key, or does not.

A login belongs to the browser that began it, by a secret in a cookie; what the provider is sent is good once.

Sources: OpenID Connect Core 1.0, 3.1.2; RFC 8628, 3.3; RFC 9700, 2.1 and 4.7.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from registry.access.actors import Actor
from registry.access.arrivals import Arrivals
from registry.access.keys import NewKey
from registry.access.login_notes import LoginNotes
from registry.access.login_steps import LIVES_MS, LoginSteps, with_dash
from registry.access.providers import Providers, Sent
from registry.access.secrets import hashed
from registry.access.throttle import Throttle, source_of
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import BrowserLogin, LoginRequest, Principal
from registry.errors import LoginInvalid, LoginRefused
from registry.setting_providers import OidcProvider

_GONE = "this login was not begun in this browser, is done already, or has expired: begin anew"
_NO_CODE = "there is no such code, or it has expired: run moorage login again"
_LONGEST_CODE = 32
_REQUEST, _BROWSER = table(LoginRequest), table(BrowserLogin)
_BY_CODE = select(LoginRequest.poll).where(
    LoginRequest.user_code == bindparam("code"),
    LoginRequest.expires_ms > bindparam("now"),
    LoginRequest.principal_id.is_(None),
    LoginRequest.denied.is_(False),
)
_REQUESTED = select(LoginRequest.poll).where(LoginRequest.poll == bindparam("poll"))
_BY_STATE = select(BrowserLogin).where(
    BrowserLogin.state == bindparam("state"), BrowserLogin.expires_ms > bindparam("now")
)
_BY_BROWSER = (
    select(
        BrowserLogin.id,
        BrowserLogin.request,
        BrowserLogin.provider,
        BrowserLogin.principal_id,
        Principal.name,
        Principal.disabled,
        LoginRequest.user_code,
        LoginRequest.host,
        LoginRequest.address,
        LoginRequest.lives_ms,
    )
    .join(Principal, Principal.id == BrowserLogin.principal_id)
    .outerjoin(LoginRequest, LoginRequest.poll == BrowserLogin.request)
    .where(BrowserLogin.browser == bindparam("browser"), BrowserLogin.expires_ms > bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A command line that wants to act as somebody: its code, what it says of itself, and from where it asked."""

    user_code: str
    host: str
    address: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a browser is asked: whether ``asked`` (None: it itself) may act as ``principal`` for ``lives_ms``.

    ``token`` proves that the answer comes from the page that asked.
    """

    principal: str
    provider: str
    asked: Asked | None
    lives_ms: int
    token: str


class BrowserLogins:
    """Leads browsers through a login."""

    def __init__(
        self,
        database: Database,
        providers: Providers,
        arrivals: Arrivals,
        steps: LoginSteps,
        throttle: Throttle,
        notes: LoginNotes,
    ) -> None:
        """Keep logins that are under way in ``database``; ``notes`` is told how each ended."""
        self._database = database
        self._providers = providers
        self._arrivals = arrivals
        self._steps = steps
        self._throttle = throttle
        self._notes = notes

    def begin(self, actor: Actor, provider_name: str, user_code: str) -> tuple[str, str]:
        """Return the provider's page, and a secret for the browser that goes there.

        ``user_code`` is that of the command line it is for, empty where there is none.

        Raises :class:`~registry.errors.ProviderUnknown`, :class:`~registry.errors.ProviderFailed`,
        :class:`LoginInvalid`, :class:`~registry.errors.TooManyRequests`.
        """
        provider = self._providers.find(provider_name)
        request = self._request_of(actor, user_code) if user_code else None
        sent, browser = Sent.new(), secrets.token_urlsafe(32)
        page = self._providers.page(provider, sent)

        def work(connection: Connection) -> None:
            now = self._steps.begin(connection, actor)
            if request is not None and connection.execute(_REQUESTED, {"poll": request}).first() is None:
                raise LoginInvalid(_NO_CODE)  # it went while the provider was asked
            row = {
                "browser": hashed(browser),
                "state": hashed(sent.state),
                "provider": provider.name,
                "nonce": sent.nonce,
                "verifier": sent.verifier,
                "request": request,
                "principal_id": None,
                "source": source_of(actor.address),
                "expires_ms": now + LIVES_MS,
            }
            connection.execute(insert(_BROWSER), row)

        self._database.write(work, durable=False)
        return page, browser

    def finish(self, actor: Actor, provider_name: str, browser: str, answer: Mapping[str, str]) -> str:
        """Take what a browser brings back from a provider, and return another secret for it.

        Raises :class:`~registry.errors.ProviderUnknown`, :class:`~registry.errors.ProviderFailed`,
        :class:`LoginInvalid`, :class:`LoginRefused`.
        """
        provider = self._providers.find(provider_name)
        how = {"with": "provider", "provider": provider.name}
        _, another = self._notes.of(
            actor, "", how, lambda: self._finished(actor, provider, browser, answer), lambda found: found[0]
        )
        return another

    def _finished(
        self, actor: Actor, provider: OidcProvider, browser: str, answer: Mapping[str, str]
    ) -> tuple[str, str]:
        """Return who has logged in, and another secret for the browser."""
        state = answer.get("state", "")
        row = self._database.write(lambda connection: self._use(connection, provider.name, browser, state))
        code = self._providers.code(provider, answer)
        person = self._providers.person(provider, code, Sent(state, row.nonce, row.verifier))
        another = secrets.token_urlsafe(32)

        def work(connection: Connection) -> str:
            arrived = self._arrivals.admit(connection, actor, person)
            until = self._database.now(connection) + LIVES_MS
            of = (_BROWSER.c.id == row.id, _BROWSER.c.principal_id.is_(None))
            known = {"browser": hashed(another), "principal_id": arrived.principal_id, "expires_ms": until}
            if connection.execute(update(_BROWSER).where(*of).values(known)).rowcount != 1:
                raise LoginInvalid(_GONE)
            return arrived.name

        return self._database.write(work), another

    def confirmation(self, browser: str) -> Confirmation:
        """Return what the browser of somebody who has just logged in is asked.

        Raises :class:`LoginInvalid`, :class:`LoginRefused`.
        """
        with self._database.read() as connection:
            row = self._arrived(connection, browser)
        asked = None if row.request is None else Asked(with_dash(row.user_code), row.host, row.address)
        title = self._providers.find(row.provider).title
        return Confirmation(row.name, title, asked, row.lives_ms or self._steps.lives_ms, _token(browser))

    def confirm(self, actor: Actor, browser: str, token: str, *, allow: bool) -> NewKey | None:
        """Take the answer: let the command line have its key, or return one that the browser itself asked for.

        Raises :class:`LoginInvalid`, :class:`LoginRefused`.
        """
        if not hmac.compare_digest(token.encode(errors="replace"), _token(browser).encode()):
            raise LoginInvalid("this answer does not come from the page that asked: begin anew")

        def work(connection: Connection) -> NewKey | None:
            row = self._arrived(connection, browser)
            if connection.execute(delete(_BROWSER).where(_BROWSER.c.id == row.id)).rowcount != 1:
                raise LoginInvalid(_GONE)
            if row.request is None:
                return self._steps.key(connection, actor, row.name, "", self._steps.lives_ms) if allow else None
            of = (_REQUEST.c.poll == row.request, _REQUEST.c.principal_id.is_(None), _REQUEST.c.denied.is_(False))
            answered = {"principal_id": row.principal_id} if allow else {"denied": True}
            if connection.execute(update(_REQUEST).where(*of).values(answered)).rowcount != 1:
                raise LoginInvalid("somebody has answered for this code already: run moorage login again")
            return None

        return self._database.write(work)

    def _request_of(self, actor: Actor, user_code: str) -> str:
        """Return the request of a code; guesses are counted as wrong passwords are."""
        attempt = self._throttle.begin("", actor.address)
        code = re.sub(r"[^A-Z]", "", user_code[:_LONGEST_CODE].upper())
        with self._database.read() as connection:
            values = {"code": code, "now": self._database.now(connection)}
            found: str | None = connection.execute(_BY_CODE, values).scalar()
        if found is None:
            self._throttle.failed(attempt)
            raise LoginInvalid(_NO_CODE)
        return found

    def _use(self, connection: Connection, provider: str, browser: str, state: str) -> Row[*tuple[Any, ...]]:
        """Return the login of a state, which that uses up: the same state is worth nothing from now on."""
        values = {"state": hashed(state), "now": self._database.now(connection)}
        row = connection.execute(_BY_STATE, values).first()
        if row is None or row.provider != provider or not hmac.compare_digest(row.browser, hashed(browser)):
            raise LoginInvalid(_GONE)
        of = (_BROWSER.c.id == row.id, _BROWSER.c.state == row.state)
        if connection.execute(update(_BROWSER).where(*of).values(state=None)).rowcount != 1:
            raise LoginInvalid(_GONE)
        return row

    def _arrived(self, connection: Connection, browser: str) -> Row[*tuple[Any, ...]]:
        """Return the login of a browser that has come back; raises :class:`LoginInvalid`, :class:`LoginRefused`."""
        values = {"browser": hashed(browser), "now": self._database.now(connection)}
        row = connection.execute(_BY_BROWSER, values).first()
        if row is None:
            raise LoginInvalid(_GONE)
        if row.disabled:
            raise LoginRefused(f"the user {row.name} is disabled here: ask an administrator")
        return row


def _token(browser: str) -> str:
    """Return what a page proves itself with: it follows from the browser's secret, which no other site knows."""
    return hashlib.sha256(f"confirm {browser}".encode(errors="replace")).hexdigest()
