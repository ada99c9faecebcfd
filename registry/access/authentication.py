"""Finding out who asks: by a password, an API key, or a token."""

from __future__ import annotations

import base64
import binascii
import hmac
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from registry.access.actors import ANONYMOUS, Actor, Proof
from registry.access.htpasswd import HTPASSWD, HtpasswdFile
from registry.access.limits import Limits, narrowed
from registry.access.principal_rows import LOCAL, NO_PASSWORD, check_user_name, insert_principal
from registry.access.secrets import KEY_SIGN, KeyText, Passwords, hashed
from registry.access.standing import Standings
from registry.access.throttle import Throttle
from registry.access.tokens import TokenRefused, Tokens
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import ApiKey, Principal
from registry.errors import PrincipalInvalid, ReadOnly, Unauthorized

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


class Authenticator:
    """Knows principals by what they show."""

    def __init__(
        self,
        database: Database,
        standings: Standings,
        tokens: Tokens,
        passwords: Passwords,
        throttle: Throttle,
        htpasswd: HtpasswdFile,
    ) -> None:
        """Compare with what ``database`` and ``htpasswd`` hold."""
        self._database = database
        self._standings = standings
        self._tokens = tokens
        self._passwords = passwords
        self._throttle = throttle
        self._htpasswd = htpasswd

    def known(self, shown: Credentials) -> Actor:
        """Return who asks; who shows nothing is anonymous.

        Raises :class:`Unauthorized` for credentials that are not right, :class:`TooManyRequests`.
        """
        scheme, _, rest = shown.authorization.partition(" ")
        nobody = Actor(ANONYMOUS, shown.address, shown.user_agent)
        match scheme.lower():
            case "":
                return nobody
            case "basic":
                name, password = _pair(rest)
                return self.login(name, password, nobody)
            case "bearer":
                return self._bearer(rest.strip(), nobody)
        raise Unauthorized("the Authorization header must be Basic or Bearer", detail={"scheme": scheme[:32]})

    def login(self, name: str, password: str, nobody: Actor) -> Actor:
        """Return the principal whose password or API key this is, asking from where ``nobody`` does.

        Raises :class:`Unauthorized`, :class:`TooManyRequests`.
        """
        if password.startswith(KEY_SIGN):
            return self._by_key(password, nobody, name)
        if "\0" in name:  # PostgreSQL takes no such text, and nobody is called so
            raise Unauthorized(_WRONG)
        row = self._find(name)
        kept, in_file = ("", "") if row is None else self._kept(row)
        file_hash = self._htpasswd.find(name) if row is None else in_file
        proven = any(kept_hash and self._passwords.remembers(kept_hash, password) for kept_hash in (kept, file_hash))
        if not proven:
            attempt = self._throttle.begin(name[:255], nobody.address)
            proven = self._verify(kept, file_hash, password)
            if not proven:
                self._throttle.failed(attempt)
                raise Unauthorized(_WRONG)
            self._throttle.succeeded(attempt)
        return replace(nobody, principal=name, proof=self._proof_of(row, name, nobody))

    def _bearer(self, text: str, nobody: Actor) -> Actor:
        if text.startswith(KEY_SIGN):
            return self._by_key(text, nobody)
        try:
            claims = self._tokens.read(text)
        except TokenRefused as error:
            raise Unauthorized(str(error), reason="invalid_token") from None
        if claims.proof is None:
            return replace(nobody, limits=claims.limits, token=True)
        return self._current(nobody, claims.principal, claims.proof, claims.limits, token=True)

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
        """Return a principal as its token and key narrow it; raises :class:`Unauthorized` where it is gone."""
        standing = self._standings.now()
        if proof.key_id is not None:
            key = self._standings.key(standing, proof.key_id)
            limits = narrowed(limits, key.limits if key else None)
        actor = Actor(principal, nobody.address, nobody.user_agent, proof, limits, token, standing.revision)
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
