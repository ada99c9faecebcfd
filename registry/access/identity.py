"""Who somebody is, as far as their credentials tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry.access.actors import Actor, Kind
from registry.access.keys import KeyRow, find_key
from registry.access.limits import token_scopes
from registry.access.standing import Standings
from registry.db.engine import Database


@dataclass(frozen=True, slots=True)
class Identity:
    """A principal with its teams, the API key that it used or got its token with, and what that token is for.

    ``token_scopes`` is None where no token was shown.
    """

    principal: str
    kind: Kind
    teams: Sequence[str]
    key: KeyRow | None
    token_scopes: Sequence[str] | None


class IdentityService:
    """Tells clients who they are."""

    def __init__(self, database: Database, standings: Standings) -> None:
        """Look teams and keys up in ``database``."""
        self._database = database
        self._standings = standings

    def tell(self, actor: Actor) -> Identity:
        """Return who asks."""
        key_id = None if actor.proof is None else actor.proof.key_id
        with self._database.read() as connection:
            key = None if key_id is None else find_key(connection, key_id)
        teams = self._standings.now(at_once=True).teams.get(actor.principal, ())
        scopes = token_scopes(actor.granted or actor.limits) if actor.token else None
        return Identity(actor.principal, actor.kind, teams, key, scopes)
