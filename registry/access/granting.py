"""Giving tokens: for what the policy allows of what was asked for.

Sources: Docker, "Token Authentication Specification", "Oauth2 Token Authentication", "Token Scope Documentation".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, delete, insert, select

from registry.access.actors import Actor, Proof
from registry.access.authorizer import AccessRequest, Action, Authorizer
from registry.access.limits import EVERY
from registry.access.login_notes import LoginNotes
from registry.access.principal_rows import LOCAL
from registry.access.secrets import REFRESH_SIGN, hashed, random_text
from registry.access.standing import Standings
from registry.access.tokens import Tokens
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Principal, RefreshToken
from registry.errors import NameInvalid, ReadOnly, ScopeInvalid, Unauthorized
from registry.names import RepositoryName

MOST_SCOPES = 64
_MOST_NOTED = 20
REFRESH_MS = 90 * 86_400_000
_SCOPE = re.compile(r"(repository|registry)(?:\([a-z0-9]+\))?:([^\s:]+(?::[0-9]+/[^\s:]+)?):([a-z*]+(?:,[a-z*]+)*)")
_REPOSITORY, _CATALOG = "repository", "catalog"
_GRANTED = (Action.PULL, Action.PUSH, Action.DELETE)
_ALL = (*_GRANTED, Action.ADMIN)
_REFRESH = table(RefreshToken)
_FIND = (
    select(RefreshToken.key_id, RefreshToken.expires_ms, Principal.id, Principal.name, Principal.valid_from_ms)
    .join(Principal, Principal.id == RefreshToken.principal_id)
    .where(RefreshToken.hash == bindparam("hash"))
)
_OWNER = select(Principal.valid_from_ms, Principal.source).where(Principal.id == bindparam("id")).with_for_update()
_SWEEP = delete(_REFRESH).where(_REFRESH.c.expires_ms < bindparam("b_now"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks a token for: actions by repository, and the catalog."""

    repositories: Mapping[str, Sequence[str]]
    catalog: bool

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Wanted:
        """Read scopes such as ``repository:team/app:pull,push``; what is of no known type grants nothing.

        Raises :class:`ScopeInvalid` that names the one at fault.
        """
        repositories: dict[str, list[str]] = {}
        catalog = False
        scopes = [scope for text in texts for scope in text.split()]
        if len(scopes) > MOST_SCOPES:
            raise ScopeInvalid(f"a token is for {MOST_SCOPES} scopes at most", detail={"scopes": len(scopes)})
        for scope in scopes:
            match = _SCOPE.fullmatch(scope)
            if match is None:
                raise ScopeInvalid("a scope is written as repository:NAME:pull,push", detail={"scope": scope[:256]})
            kind, name, actions = match.groups()
            if kind == _REPOSITORY:
                repositories.setdefault(name, []).extend(actions.split(","))
            catalog = catalog or (kind != _REPOSITORY and name == _CATALOG)
        return cls(repositories, catalog)


@dataclass(frozen=True, slots=True)
class Given:
    """A token, when it was issued and how long it lives (seconds), and what renews it, if that was asked for."""

    token: str
    issued: int
    expires_in: int
    granted: Mapping[str, Sequence[str]]
    refresh_token: str = ""


class TokenService:
    """Gives tokens to who is known, and to nobody's clients for what everybody may do."""

    def __init__(
        self, database: Database, authorizer: Authorizer, standings: Standings, tokens: Tokens, notes: LoginNotes
    ) -> None:
        """Give ``tokens`` for what ``authorizer`` allows, and tell ``notes`` of each."""
        self._database = database
        self._authorizer = authorizer
        self._standings = standings
        self._tokens = tokens
        self._notes = notes

    def give(self, actor: Actor, wanted: Wanted, *, renewable: bool = False, client: str = "") -> Given:
        """Return a token for what of ``wanted`` is allowed now."""
        self._standings.now(at_once=True)  # what it was given for is not asked again for minutes
        granted, catalog = self._granted(actor, wanted)
        proof = actor.proof
        token, issued, ends = self._tokens.give(actor.principal, proof, granted, catalog=catalog)
        lasting = renewable and proof is not None and proof.until is None
        refresh = self._keep_refresh(proof, client) if lasting and proof is not None else ""
        scopes = [f"repository:{name}:{','.join(actions)}" for name, actions in granted.items()]
        detail = {
            "scopes": (["registry:catalog:*"] if catalog else []) + scopes[:_MOST_NOTED],
            "refresh": bool(refresh),
        }
        self._notes.token_given(actor, detail)
        return Given(token, issued, ends - issued, granted, refresh)

    def renew(self, nobody: Actor, text: str, wanted: Wanted) -> Given:
        """Return a token for who was given the refresh token ``text``; raises :class:`Unauthorized`."""
        try:
            actor = self._owner(nobody, text)
        except Unauthorized as error:
            self._notes.refused(nobody, "", {"with": "refresh token"}, error.message)
            raise
        return self.give(actor, wanted)

    def _owner(self, nobody: Actor, text: str) -> Actor:
        """Return who was given a refresh token; raises :class:`Unauthorized`."""
        with self._database.read() as connection:
            row = connection.execute(_FIND, {"hash": hashed(text)}).first()
            now = self._database.now(connection)
        if row is None or row.expires_ms <= now:
            raise Unauthorized("the refresh token is not known, or has expired: log in again")
        actor = replace(nobody, principal=row.name, proof=Proof(row.id, row.valid_from_ms, row.key_id))
        if (gone := self._standings.gone(self._standings.now(at_once=True), actor)) is not None:
            raise Unauthorized(gone)
        return actor

    def _granted(self, actor: Actor, wanted: Wanted) -> tuple[Mapping[str, Sequence[str]], bool]:
        """Return what is allowed of the actions by repository, and of the catalog; all of it is asked at once."""
        asked = {
            (text, action): AccessRequest(actor, action, name, any_tag=True)
            for text, name in _names(wanted.repositories)
            for action in (_ALL if EVERY in wanted.repositories[text] else _GRANTED)
            if action in wanted.repositories[text] or EVERY in wanted.repositories[text]
        }
        catalog = [AccessRequest(actor, Action.LIST, None, any_tag=True)] if wanted.catalog else []
        decisions = self._authorizer.authorize([*asked.values(), *catalog])
        allowed = {key for key, decision in zip(asked, decisions, strict=False) if decision.allowed}
        granted: dict[str, Sequence[str]] = {}
        for text, actions in wanted.repositories.items():
            if EVERY in actions and all((text, action) in allowed for action in _ALL):
                granted[text] = [EVERY]
            elif found := [action.value for action in _GRANTED if (text, action) in allowed]:
                granted[text] = found
        return granted, bool(catalog) and decisions[-1].allowed

    def _keep_refresh(self, proof: Proof, client: str) -> str:
        """Return a refresh token; none for a password that is kept elsewhere, as nobody tells of its change."""
        text = REFRESH_SIGN + random_text(48)

        def work(connection: Connection) -> str:
            now = self._database.now(connection)
            owner = connection.execute(_OWNER, {"id": proof.principal_id}).first()
            if owner is None or owner.valid_from_ms != proof.valid_from_ms:
                raise Unauthorized("the password has just been changed: log in again")
            if owner.source != LOCAL and proof.key_id is None:
                return ""
            connection.execute(_SWEEP, {"b_now": now})
            row = {
                "hash": hashed(text),
                "principal_id": proof.principal_id,
                "key_id": proof.key_id,
                "client": client[:255],
                "created_ms": now,
                "expires_ms": now + REFRESH_MS,
            }
            connection.execute(insert(_REFRESH), row)
            return text

        try:
            return self._database.write(work)
        except ReadOnly:  # logins go on; who renews asks with the password again
            return ""


def _names(texts: Iterable[str]) -> Iterator[tuple[str, RepositoryName]]:
    """Yield the texts that are names of repositories, each with the name."""
    for text in texts:
        try:
            yield text, RepositoryName.parse(text)
        except NameInvalid:
            continue
