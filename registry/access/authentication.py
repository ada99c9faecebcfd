"""Finding out who asks: by a password, an API key, or a token, ours or of an issuer that is trusted."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from registry.access.actors import ANONYMOUS, Actor, Kind, Proof
from registry.access.elsewhere import Known, SourceFailed
from registry.access.external import ExternalTokens
from registry.access.federation import Federation, is_token
from registry.access.htpasswd import HTPASSWD
from registry.access.jwks import TokenRefused
from registry.access.limits import Limits, narrowed
from registry.access.login_notes import OF_ISSUER, OF_PASSWORD, OF_SERVICE, LoginNotes, of_key
from registry.access.principal_rows import LOCAL, NO_PASSWORD, check_user_name, insert_principal
from registry.access.secrets import KEY_SIGN, KeyText, Passwords, hashed
from registry.access.sources import Sources
from registry.access.standing import Standings
from registry.access.throttle import Throttle, Try
from registry.access.tokens import Tokens
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import ApiKey, Principal
from registry.errors import PrincipalInvalid, ReadOnly, Unauthorized, Unavailable
from registry.hooks.access import LoginCredentials

_KEY = table(ApiKey)
_PRINCIPAL = select(
    Principal.id,
    Principal.name,
    Principal.namespace,
    Principal.source,
    Principal.password_hash,
    Principal.disabled,
    Principal.valid_from_ms,
).where(Principal.name == bindparam("name"))
_BY_PREFIX = (
    select(
        ApiKey.id,
        ApiKey.hash,
        ApiKey.last_used_ms,
        Principal.id.label("owner_id"),
        Principal.name,
        Principal.valid_from_ms,
    )
    .join(Principal, Principal.id == ApiKey.principal_id)
    .where(ApiKey.prefix == bindparam("prefix"))
)
_USED = update(_KEY).where(_KEY.c.id == bindparam("b_key")).values(last_used_ms=bindparam("b_now"))
_USED_EVERY_MS = 60_000
_WRONG = "the user name or password is wrong"
_LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client shows: the ``Authorization`` header, empty where there is none, and where it is."""

    authorization: str
    address: str = ""
    user_agent: str = ""
    request_id: str = ""


class Authenticator:
    """Knows principals by what they show."""

    def __init__(
        self,
        database: Database,
        standings: Standings,
        tokens: Tokens,
        passwords: Passwords,
        throttle: Throttle,
        sources: Sources,
        federation: Federation,
        external: ExternalTokens | None,
        notes: LoginNotes,
    ) -> None:
        """Compare with what ``database`` and ``sources`` hold.

        ``federation`` and ``external`` know tokens of other issuers; ``notes`` is told of each login.
        """
        self._external = external
        self._federation = federation
        self._database = database
        self._standings = standings
        self._tokens = tokens
        self._passwords = passwords
        self._throttle = throttle
        self._htpasswd = sources.htpasswd
        self._elsewhere = sources.elsewhere
        self._notes = notes

    def known(self, shown: Credentials) -> Actor:
        """Return who asks; who shows nothing is anonymous.

        Raises :class:`Unauthorized` for credentials that are not right, :class:`TooManyRequests`.
        """
        scheme, _, rest = shown.authorization.partition(" ")
        nobody = Actor(ANONYMOUS, shown.address, shown.user_agent, request_id=shown.request_id)
        match scheme.lower():
            case "":
                return nobody
            case "basic":
                name, password = _pair(rest)
                return self.login(name, password, nobody)
            case "bearer":
                return self._bearer(rest.strip(), nobody)
        # What stands there instead is not told: it may be a key without a scheme.
        raise Unauthorized("the Authorization header must be Basic or Bearer")

    def login(self, name: str, password: str, nobody: Actor) -> Actor:
        """Return the principal whose password or API key this is, asking from where ``nobody`` does.

        Raises :class:`Unauthorized`, :class:`TooManyRequests`, or :class:`Unavailable` where who may know fails.
        """
        if password.startswith(KEY_SIGN):
            return self._noted(nobody, name, of_key(password), lambda: self._by_key(password, nobody, name))
        if is_token(password) and Actor(name).kind is Kind.ROBOT:
            return self.exchange(password, name, nobody)
        return self._noted(nobody, name, OF_PASSWORD, lambda: self._by_password(name, password, nobody))

    def _noted(self, nobody: Actor, name: str, how: Mapping[str, str], log_in: Callable[[], Actor]) -> Actor:
        return self._notes.of(nobody, name, how, log_in, lambda actor: actor.principal)

    def _by_password(self, name: str, password: str, nobody: Actor) -> Actor:
        if "\0" in name:  # PostgreSQL takes no such text, and nobody is called so
            raise Unauthorized(_WRONG)
        row = self._find(name)
        kept, in_file = ("", "") if row is None else self._kept(row)
        file_hash = self._htpasswd.find(name) if row is None else in_file
        shown = LoginCredentials(name, password, nobody.address)
        plugins = () if kept or file_hash else self._elsewhere.plugins_for(shown, row)
        known = self._elsewhere.remembered(plugins, shown)
        proven = any(kept_hash and self._passwords.remembers(kept_hash, password) for kept_hash in (kept, file_hash))
        if not proven and known is None:
            attempt = self._throttle.begin(name, nobody.address)
            if not self._verify(kept, file_hash, password):
                known = self._asked(plugins, shown, nobody, attempt)
            self._throttle.succeeded(attempt)
        if known is not None:
            return replace(nobody, principal=known.name, proof=known.proof)
        return replace(nobody, principal=name, proof=self._proof_of(row, name, nobody))

    def exchange(self, text: str, name: str | None, nobody: Actor) -> Actor:
        """Return the robot that another issuer's token stands for; it must be ``name`` where that is given.

        Raises :class:`Unauthorized`, :class:`~registry.errors.Unavailable`.
        """

        def log_in() -> Actor:
            robot, proof = self._federation.robot_of(text, name)
            return self._current(nobody, robot, proof, None, token=False)

        return self._noted(nobody, name or "", OF_ISSUER, log_in)

    def _asked(self, plugins: Sequence[str], shown: LoginCredentials, nobody: Actor, attempt: Try) -> Known:
        """Return whom a plugin knows by credentials that nobody else does; counts those that are not right.

        A plugin that fails does so for all who share an address: it counts for the name there alone.
        """
        try:
            known = self._elsewhere.ask(plugins, shown, nobody)
        except SourceFailed as error:
            self._throttle.failed(attempt, of_address=error.refused)
            message = f"nobody can tell now whether the password is right: plugin {error.plugin} failed"
            raise Unavailable(message, detail={"plugin": error.plugin, "hook": "authenticate"}) from None
        if known is None:
            self._throttle.failed(attempt)
            raise Unauthorized(_WRONG)
        self._standings.now(at_once=True)  # the teams that the plugin tells hold from this request on
        return known

    def _bearer(self, text: str, nobody: Actor) -> Actor:
        if text.startswith(KEY_SIGN):
            return self._noted(nobody, "", of_key(text), lambda: self._by_key(text, nobody))
        principal = ""
        if (external := self._external) is not None and external.issued(text):
            return self._noted(nobody, "", OF_SERVICE, lambda: self._of_elsewhere(external.known(text, nobody)))
        try:
            claims = self._tokens.read(text)
            if claims.proof is None:
                return replace(nobody, limits=claims.limits, token=True)
            principal = claims.principal
            return self._current(nobody, principal, claims.proof, claims.limits, token=True)
        except TokenRefused as error:
            refusal = Unauthorized(str(error), reason="invalid_token")
        except Unauthorized as error:
            refusal = error
        self._notes.refused(nobody, principal, {"with": "token"}, refusal.message)
        raise refusal

    def _of_elsewhere(self, actor: Actor) -> Actor:
        standing = self._standings.now()
        if (gone := self._standings.gone(standing, actor)) is not None:
            raise Unauthorized(gone, reason="invalid_token")
        return replace(actor, revision=standing.revision)

    def _by_key(self, text: str, nobody: Actor, name: str | None = None) -> Actor:
        """Return the owner of an API key, whose name must be ``name`` if that is given."""
        key = KeyText.parse(text)
        row = None if key is None else self._key(key.prefix)
        right = hmac.compare_digest(hashed(text), row.hash if row is not None else hashed(""))
        if row is None or not right or name not in (None, row.name):
            self._throttle.failed(self._throttle.begin("", nobody.address))  # who has the right one never waits
            raise Unauthorized("the API key is wrong" if name is None else "the user name or API key is wrong")
        actor = self._current(nobody, row.name, Proof(row.owner_id, row.valid_from_ms, row.id), None, token=False)
        now = self._database.clock_ms()
        if row.last_used_ms is None or now - row.last_used_ms > _USED_EVERY_MS:
            with suppress(ReadOnly):  # logins go on, and nobody misses it
                self._database.write(lambda connection: _used(connection, row.id, now), durable=False)
        return actor

    def _current(self, nobody: Actor, principal: str, proof: Proof, limits: Limits | None, *, token: bool) -> Actor:
        """Return a principal as its token, key or trusts narrow it; raises :class:`Unauthorized` where it is gone."""
        standing = self._standings.now()
        limits = narrowed(limits, self._standings.limits(standing, proof))
        actor = Actor(
            principal,
            nobody.address,
            nobody.user_agent,
            proof,
            limits,
            token,
            standing.revision,
            nobody.request_id,
        )
        if (gone := self._standings.gone(standing, actor)) is not None:
            raise Unauthorized(gone, reason="invalid_token")
        return actor

    def _kept(self, row: Row[*tuple[Any, ...]]) -> tuple[str, str]:
        """Return the hashes that a principal's password is compared with: that of the database, that of the file."""
        if row.disabled or row.namespace is not None:
            return "", ""
        return (row.password_hash if row.source == LOCAL else ""), (
            self._htpasswd.find(row.name) if row.source == HTPASSWD else ""
        )

    def _verify(self, kept: str, file_hash: str, password: str) -> bool:
        """Compare with both, also where there is neither: the time tells nothing about a name."""
        right = self._passwords.verify(kept, password)
        if self._htpasswd.used and self._htpasswd.verify(file_hash, password):
            self._passwords.remember(file_hash, password)
            right = True
        return right

    def _proof_of(self, row: Row[*tuple[Any, ...]] | None, name: str, nobody: Actor) -> Proof:
        """Return what a password proved; who is in the file alone is made a principal at the first login."""
        if row is not None:
            return Proof(row.id, row.valid_from_ms)
        try:
            check_user_name(name)
        except PrincipalInvalid as error:
            raise Unauthorized(error.message) from None

        def work(connection: Connection) -> Proof:
            found = connection.execute(_PRINCIPAL, {"name": name}).first()
            if found is None:
                actor = replace(nobody, principal=name)
                insert_principal(self._database, connection, name, None, HTPASSWD, NO_PASSWORD, "", actor)
                found = connection.execute(_PRINCIPAL, {"name": name}).one()
            elif found.source != HTPASSWD:  # somebody else was quicker to have the name
                raise Unauthorized(_WRONG)
            return Proof(found.id, found.valid_from_ms)

        return self._database.write(work)

    def _find(self, name: str) -> Row[*tuple[Any, ...]] | None:
        with self._database.read() as connection:
            return connection.execute(_PRINCIPAL, {"name": name}).first()

    def _key(self, prefix: str) -> Row[*tuple[Any, ...]] | None:
        with self._database.read() as connection:
            return connection.execute(_BY_PREFIX, {"prefix": prefix}).first()


def _used(connection: Connection, key_id: int, now: int) -> None:
    connection.execute(_USED, {"b_key": key_id, "b_now": now})


def _pair(text: str) -> tuple[str, str]:
    """Return the name and the password of a Basic header (RFC 7617); raises :class:`Unauthorized`."""
    try:
        name, colon, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Unauthorized("malformed Basic credentials") from None
    if not colon or len(text) > _LONGEST:
        raise Unauthorized("malformed Basic credentials")
    return name, password
