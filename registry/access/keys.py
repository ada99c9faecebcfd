"""API keys of users and robots: shown once, narrowed by scopes, ended by time, by rotation or by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer, own_action
from registry.access.limits import parse_scopes
from registry.access.secrets import KeyText
from registry.access.standing import changed
from registry.audit.chain import shown_time
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import ApiKey, Principal
from registry.errors import KeyUnknown, PrincipalInvalid, PrincipalUnknown

MOST_KEYS, MAX_NAME = 100, 128
_SHOWN_AFTER_MS = 30 * 86_400_000
"""How long a key that has expired is listed."""
_KEY = table(ApiKey)
_SHOWN = select(
    ApiKey.id,
    Principal.name.label("owner"),
    ApiKey.name,
    ApiKey.prefix,
    ApiKey.scopes,
    ApiKey.actor,
    ApiKey.created_ms,
    ApiKey.expires_ms,
    ApiKey.last_used_ms,
).join(Principal, Principal.id == ApiKey.principal_id)
_OF = _SHOWN.where(Principal.name == bindparam("owner")).order_by(ApiKey.id)
_BY_PREFIX = _SHOWN.where(ApiKey.prefix == bindparam("prefix"))
_BY_ID = _SHOWN.where(ApiKey.id == bindparam("id"))
_LIVING = select(func.count()).where(
    ApiKey.principal_id == bindparam("owner"), or_(ApiKey.expires_ms.is_(None), ApiKey.expires_ms > bindparam("now"))
)
_SWEEP = delete(_KEY).where(_KEY.c.principal_id == bindparam("b_owner"), _KEY.c.expires_ms < bindparam("b_before"))
_OWNER = select(Principal.id).where(Principal.name == bindparam("owner"))


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it may be shown; times are in milliseconds."""

    id: int
    owner: str
    name: str
    prefix: str
    scopes: Sequence[str]
    actor: str
    created_ms: int
    expires_ms: int | None
    last_used_ms: int | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the one time that its text is known."""

    key: KeyRow
    text: str


class KeyService:
    """Makes, lists, rotates and ends keys: one's own, or anybody's for who administers the registry."""

    def __init__(self, database: Database, authorizer: Authorizer) -> None:
        """Keep them in ``database``."""
        self._database = database
        self._authorizer = authorizer

    def create(
        self, actor: Actor, owner: str, name: str, scopes: Sequence[str] = (), *, lives_ms: int | None = None
    ) -> NewKey:
        """Make a key of ``owner`` that ends after ``lives_ms``.

        Raises :class:`PrincipalUnknown`, :class:`PrincipalInvalid`, :class:`~registry.errors.ScopeInvalid`.
        """
        self._authorizer.require_own(actor, owner)
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise PrincipalInvalid(f"a key's name is 1 to {MAX_NAME} printable characters", detail={"field": "name"})
        parse_scopes(scopes)
        needed = own_action(actor, owner)

        def work(connection: Connection) -> NewKey:
            return self.insert(connection, actor, owner, name, scopes, lives_ms, needed)

        return self._database.write(work)

    def list(self, actor: Actor, owner: str) -> Sequence[KeyRow]:
        """Return the keys of a user or robot, oldest first; raises :class:`PrincipalUnknown`."""
        self._authorizer.require_own(actor, owner)
        with self._database.read() as connection:
            _owner(connection, owner)
            return [_row(*row) for row in connection.execute(_OF, {"owner": owner})]

    def rotate(self, actor: Actor, owner: str, prefix: str, *, overlap_ms: int) -> NewKey:
        """Make a key as another one, which ends after ``overlap_ms``; the new one lives as long as that was to.

        Raises :class:`KeyUnknown`.
        """
        self._authorizer.require_own(actor, owner)

        def work(connection: Connection) -> NewKey:
            old = self._find(connection, owner, prefix)
            now = self._database.now(connection)
            if old.expires_ms is not None and old.expires_ms <= now:
                raise KeyUnknown("this key has expired: make a new one", detail={"prefix": prefix[:64]})
            lives = None if old.expires_ms is None else old.expires_ms - old.created_ms
            needed = own_action(actor, owner)
            made = self.insert(connection, actor, owner, old.name, old.scopes, lives, needed)
            end = now + overlap_ms if old.expires_ms is None else min(old.expires_ms, now + overlap_ms)
            connection.execute(update(_KEY).where(_KEY.c.id == old.id).values(expires_ms=end))
            told = {"key": prefix, "expires": shown_time(end)}
            changed(self._database, connection, actor, "key.rotated", owner, told, action=needed)
            return made

        return self._database.write(work)

    def delete(self, actor: Actor, owner: str, prefix: str) -> None:
        """End a key, and what was got with it; a key may end itself. Raises :class:`KeyUnknown`."""
        if not self._is_itself(actor, owner, prefix):
            self._authorizer.require_own(actor, owner)

        def work(connection: Connection) -> None:
            connection.execute(delete(_KEY).where(_KEY.c.id == self._find(connection, owner, prefix).id))
            needed = own_action(actor, owner)
            changed(self._database, connection, actor, "key.deleted", owner, {"key": prefix}, action=needed)

        self._database.write(work)

    def insert(
        self,
        connection: Connection,
        actor: Actor,
        owner: str,
        name: str,
        scopes: Sequence[str],
        lives_ms: int | None,
        needed: Action | None,
    ) -> NewKey:
        """Make a key in the transaction of a caller who knows that it may be, and which action it ``needed``.

        Raises as :meth:`create` does.
        """
        principal_id = _owner(connection, owner)
        now, text = self._database.now(connection), KeyText.new()
        connection.execute(_SWEEP, {"b_owner": principal_id, "b_before": now - _SHOWN_AFTER_MS})
        if connection.execute(_LIVING, {"owner": principal_id, "now": now}).scalar_one() >= MOST_KEYS:
            raise PrincipalInvalid(f"{owner} has {MOST_KEYS} keys already: delete one", detail={"owner": owner})
        expires_ms = None if lives_ms is None else now + lives_ms
        row = {
            "principal_id": principal_id,
            "name": name,
            "prefix": text.prefix,
            "hash": text.hash,
            "scopes": json.dumps(list(scopes)),
            "actor": actor.principal,
            "created_ms": now,
            "expires_ms": expires_ms,
        }
        connection.execute(insert(_KEY), row)
        told = {
            "key": text.prefix,
            "name": name,
            "scopes": list(scopes),
            "expires": None if expires_ms is None else shown_time(expires_ms),
        }
        changed(self._database, connection, actor, "key.created", owner, told, action=needed)
        return NewKey(self._find(connection, owner, text.prefix), str(text))

    def _is_itself(self, actor: Actor, owner: str, prefix: str) -> bool:
        """Tell whether what an actor shows is that very key, and no token that was got with it."""
        if actor.proof is None or actor.proof.key_id is None or actor.token or actor.principal != owner:
            return False
        with self._database.read() as connection:
            key = find_key(connection, actor.proof.key_id)
        return key is not None and key.prefix == prefix

    @staticmethod
    def _find(connection: Connection, owner: str, prefix: str) -> KeyRow:
        row = connection.execute(_BY_PREFIX, {"prefix": prefix}).first()
        if row is None or row.owner != owner:
            raise KeyUnknown(f"{owner} has no key {prefix[:64]!r}", detail={"owner": owner, "prefix": prefix[:64]})
        return _row(*row)


def find_key(connection: Connection, key_id: int) -> KeyRow | None:
    """Return a key by its id; None where there is none any more."""
    row = connection.execute(_BY_ID, {"id": key_id}).first()
    return None if row is None else _row(*row)


def _owner(connection: Connection, owner: str) -> int:
    found = connection.execute(_OWNER, {"owner": owner}).scalar()
    if found is None:
        raise PrincipalUnknown(f"there is no user or robot {owner[:128]!r}", detail={"name": owner[:128]})
    return int(found)


def _row(
    row_id: int,
    owner: str,
    name: str,
    prefix: str,
    scopes: str,
    actor: str,
    created_ms: int,
    expires_ms: int | None,
    last_used_ms: int | None,
) -> KeyRow:
    return KeyRow(row_id, owner, name, prefix, json.loads(scopes), actor, created_ms, expires_ms, last_used_ms)
