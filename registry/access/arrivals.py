"""Who somebody of elsewhere is here: by issuer and subject alone, never by a name or an e-mail address.

At the first login a user is made, where the settings let that person in. Teams that the settings map to groups follow
the provider at each login.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from registry.access.actors import Actor
from registry.access.memberships import keep_teams, moves_of
from registry.access.principal_rows import NO_PASSWORD, check_user_name, insert_principal
from registry.access.providers import Person
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Identity, Principal
from registry.errors import LoginRefused, PrincipalInvalid
from registry.setting_providers import OidcProvider

SOURCE = "oidc"
_TRUE = (True, "true")
"""The source of users that were made at a login."""
_IDENTITY = table(Identity)
_KNOWN = (
    select(Identity.id.label("identity"), Principal.id, Principal.name, Principal.disabled)
    .join(Principal, Principal.id == Identity.principal_id)
    .where(Identity.issuer == bindparam("issuer"), Identity.subject == bindparam("subject"))
)
_TAKEN = select(Principal.id).where(Principal.name == bindparam("name"))
_SEEN = update(_IDENTITY).where(_IDENTITY.c.id == bindparam("b_id")).values(last_login_ms=bindparam("b_now"))
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A user, by id and name."""

    principal_id: int
    name: str


class Arrivals:
    """Lets people in who come from a provider."""

    def __init__(self, database: Database, is_taken: Callable[[str], bool]) -> None:
        """Keep who they are in ``database``; ``is_taken`` tells of names that are in a file."""
        self._database = database
        self._is_taken = is_taken

    def admit(self, connection: Connection, nobody: Actor, person: Person) -> Arrived:
        """Return the user that somebody is, in the caller's transaction.

        Raises :class:`LoginRefused` that says what would let them in.
        """
        provider = person.provider
        if (lacking := _lacking(provider, person.claims)) is not None:
            raise LoginRefused(f"you are not let in: {lacking}", detail=_who(person))
        known = {"issuer": provider.issuer, "subject": person.subject}
        row = connection.execute(_KNOWN, known).first()
        if row is not None and row.disabled:
            raise LoginRefused(f"the user {row.name} is disabled here: ask an administrator", detail=_who(person))
        if row is None:
            principal_id, name = self._make(connection, nobody, person)
            identity_id = insert_identity(
                self._database, connection, principal_id, provider.issuer, person.subject, name
            )
        else:
            principal_id, name, identity_id = int(row.id), str(row.name), row.identity
        member = replace(nobody, principal=name)
        connection.execute(_SEEN, {"b_id": identity_id, "b_now": self._database.now(connection)})
        if provider.teams:
            self._follow(connection, member, principal_id, person)
        return Arrived(principal_id, name)

    def _make(self, connection: Connection, nobody: Actor, person: Person) -> tuple[int, str]:
        """Make a user for somebody who was never here."""
        provider = person.provider
        by_hand = f"an administrator can link you: {_command(person)}"
        if not provider.limited and not provider.allow_anybody:
            raise LoginRefused(
                f"only people that were linked may log in at {provider.title}; {by_hand}", detail=_who(person)
            )
        name = person.claims.get(provider.username_claim)
        if provider.username_claim == "email" and person.claims.get("email_verified", True) not in _TRUE:
            name = None
        try:
            check_user_name(name if isinstance(name, str) else "")
        except PrincipalInvalid as error:
            told = f"{provider.title} says in {provider.username_claim} no name that a user can have ({error.message})"
            raise LoginRefused(f"{told}; {by_hand}", detail=_who(person)) from None
        name = str(name)
        if self._is_taken(name) or connection.execute(_TAKEN, {"name": name}).first() is not None:
            raise LoginRefused(f"the name {name} is somebody else's here; {by_hand}", detail=_who(person))
        actor = replace(nobody, principal=name)
        return insert_principal(self._database, connection, name, None, SOURCE, NO_PASSWORD, "", actor), name

    def _follow(self, connection: Connection, member: Actor, principal_id: int, person: Person) -> None:
        """Put a user into the teams that its groups are mapped to, and out of the others that some group is."""
        provider, groups = person.provider, set(_texts(person.claims.get(person.provider.groups_claim)))
        wanted = {team for group, team in provider.teams.items() if group in groups}
        moves = moves_of(self._database, connection, principal_id, wanted, within=set(provider.teams.values()))
        for name in sorted(moves.lacking):
            _log.warning(
                "a group of %s is mapped to the team %s, which is not there: nobody joins", provider.name, name
            )
        keep_teams(self._database, connection, member, principal_id, moves)


def insert_identity(
    database: Database, connection: Connection, principal_id: int, issuer: str, subject: str, actor: str
) -> int:
    """Bind a subject of an issuer to a principal, in the caller's transaction; return the identity's id."""
    row = {
        "principal_id": principal_id,
        "issuer": issuer,
        "subject": subject,
        "actor": actor,
        "created_ms": database.now(connection),
        "last_login_ms": None,
    }
    return int(connection.execute(insert(_IDENTITY).returning(_IDENTITY.c.id), row).scalar_one())


def _lacking(provider: OidcProvider, claims: Mapping[str, Any]) -> str | None:
    """Return which condition of the settings somebody does not meet, None where all are met."""
    if provider.allowed_domains:
        email = claims.get("email")
        domain = email.rpartition("@")[2].lower() if isinstance(email, str) else ""
        if domain not in provider.allowed_domains:
            return f"an e-mail address of {' or '.join(provider.allowed_domains)} is needed"
        if claims.get("email_verified") not in _TRUE:
            return f"{provider.title} does not say that your e-mail address was verified"
    for claim, wanted in provider.required_claims.items():
        if not set(wanted).intersection(_texts(claims.get(claim))):
            return f"{provider.title} does not say {' or '.join(wanted)} in {claim} of you"
    return None


def _texts(value: object) -> Sequence[str]:
    """Return what a claim says: a text, or the texts of a list."""
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, list):
        return [one for one in value if isinstance(one, str)]
    return [str(value)] if isinstance(value, str | int) else []


def _who(person: Person) -> Mapping[str, str]:
    return {"provider": person.provider.name, "subject": person.subject}


def _command(person: Person) -> str:
    """Return what an administrator types; a subject is quoted as shells need it: Auth0's have a ``|``."""
    return f"moorage user link NAME --oidc {person.provider.name} --subject {shlex.quote(person.subject)}"
