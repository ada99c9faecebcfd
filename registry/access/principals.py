"""Users and robots: made, changed, disabled and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer, own_action
from registry.access.principal_rows import (
    LOCAL,
    NO_PASSWORD,
    check_part,
    check_user_name,
    checked_description,
    forget_subject,
    insert_principal,
    make_administrator,
)
from registry.access.secrets import Passwords
from registry.access.standing import changed
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Principal, RefreshToken, Team, TeamMember
from registry.errors import PrincipalInvalid, PrincipalTaken, PrincipalUnknown
from registry.names import RepositoryName
from registry.pages import Page, cut
from registry.revisions import ANY, Condition, revision_of

_PRINCIPAL, _REFRESH = table(Principal), table(RefreshToken)
_SHOWN = select(
    Principal.id,
    Principal.name,
    Principal.namespace,
    Principal.source,
    Principal.password_hash != NO_PASSWORD,
    Principal.disabled,
    Principal.description,
    Principal.actor,
    Principal.created_ms,
    Principal.updated_ms,
    Principal.valid_from_ms,
)
_BY_NAME = _SHOWN.where(Principal.name == bindparam("name"))
_TEAMS_OF = (
    select(Team.name)
    .join(TeamMember, TeamMember.team_id == Team.id)
    .where(TeamMember.principal_id == bindparam("principal"))
    .order_by(Team.name)
)


@dataclass(frozen=True, slots=True)
class PrincipalRow:
    """A user or (with a namespace) a robot, as it is stored; times are in milliseconds.

    What was got before ``valid_from_ms`` is worth nothing.
    """

    id: int
    name: str
    namespace: str | None
    source: str
    has_password: bool
    disabled: bool
    description: str
    actor: str
    created_ms: int
    updated_ms: int
    valid_from_ms: int
    teams: Sequence[str]

    @property
    def revision(self) -> str:
        """A text that changes with the principal and its teams."""
        return revision_of(self.id, self.disabled, self.description, self.updated_ms, list(self.teams))


@dataclass(frozen=True, slots=True)
class PrincipalWish:
    """What is to be changed of a user or robot; None leaves it."""

    password: str | None = None
    disabled: bool | None = None
    description: str | None = None


class PrincipalService:
    """Keeps users and robots. All of it is for who may administer the registry, but one's own password."""

    def __init__(self, database: Database, authorizer: Authorizer, passwords: Passwords) -> None:
        """Keep them in ``database``."""
        self._database = database
        self._authorizer = authorizer
        self._passwords = passwords

    def add_user(
        self,
        actor: Actor,
        name: str,
        *,
        password: str | None,
        source: str = LOCAL,
        description: str = "",
        administrator: bool = False,
    ) -> PrincipalRow:
        """Make a user; without a password it logs in by keys alone, or as its source says.

        An ``administrator`` is named in the rule that lets them do everything.

        Raises :class:`PrincipalInvalid`, :class:`PrincipalTaken`.
        """
        self._authorizer.require(actor, Action.ADMIN, None, name)
        check_user_name(name)
        if source != LOCAL and password is not None:
            raise PrincipalInvalid(f"the password of {name} is kept by {source}", detail={"field": "password"})
        kept = NO_PASSWORD if password is None else self._passwords.hash(password)
        return self._add(actor, name, None, source, kept, checked_description(description), administrator=administrator)

    def add_robot(self, actor: Actor, namespace: str, name: str, *, description: str = "") -> PrincipalRow:
        """Make a robot of a namespace; it logs in by keys alone. Raises as :meth:`add_user` does."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        if RepositoryName.parse(f"{namespace}/any").namespace != namespace:
            raise PrincipalInvalid(
                "a namespace is the part of a name before its first slash", detail={"namespace": namespace}
            )
        check_part("robot", name)
        return self._add(actor, f"{namespace}+{name}", namespace, LOCAL, NO_PASSWORD, checked_description(description))

    def list(self, actor: Actor, *, robots: bool, limit: int, last: str) -> Page[PrincipalRow]:
        """Return at most ``limit`` users, or robots, by name after ``last``."""
        self._authorizer.require(actor, Action.ADMIN, None)
        kind = Principal.namespace.is_not(None) if robots else Principal.namespace.is_(None)
        statement = _SHOWN.where(kind, Principal.name > last).order_by(Principal.name).limit(limit + 1)
        with self._database.read() as connection:
            return cut([self._row(connection, row) for row in connection.execute(statement)], limit)

    def show(self, actor: Actor, name: str) -> PrincipalRow:
        """Return one; raises :class:`PrincipalUnknown`. Everybody may look at oneself."""
        if actor.principal != name or actor.proof is None:
            self._authorizer.require(actor, Action.ADMIN, None, name)
        with self._database.read() as connection:
            return self._require(connection, name)

    def change(self, actor: Actor, name: str, wish: PrincipalWish, condition: Condition = ANY) -> PrincipalRow:
        """Change a password, disable, or describe. A new password ends what was got with the old one.

        Raises :class:`PrincipalUnknown`, :class:`PrincipalInvalid`.
        """
        needed = Action.ADMIN
        if wish.disabled is not None or wish.description is not None:
            self._authorizer.require(actor, needed, None, name)
        else:
            needed = own_action(actor, name)
            self._authorizer.require_own(actor, name)
        values: dict[str, object] = {}
        if wish.disabled is not None:
            values["disabled"] = wish.disabled
        if wish.description is not None:
            values["description"] = checked_description(wish.description)
        if wish.password is not None:
            values["password_hash"] = self._passwords.hash(wish.password)

        def work(connection: Connection) -> PrincipalRow:
            found = self._require(connection, name)
            condition.require(found.revision)
            if "password_hash" in values and (found.namespace is not None or found.source != LOCAL):
                why = "robots have keys" if found.namespace else f"its password is kept by {found.source}"
                raise PrincipalInvalid(f"{name} has no password here: {why}", detail={"field": "password"})
            now = max(self._database.now(connection), found.updated_ms + 1)
            later = max(now, found.valid_from_ms + 1)
            ended = {"valid_from_ms": later} if "password_hash" in values or wish.disabled else {}
            if ended:
                connection.execute(delete(_REFRESH).where(_REFRESH.c.principal_id == found.id))
            statement = update(_PRINCIPAL).where(_PRINCIPAL.c.id == found.id)
            connection.execute(statement.values(**values, **ended, updated_ms=now))
            told = {name: value for name, value in values.items() if name != "password_hash"}
            told |= {"password": "another"} if "password_hash" in values else {}
            changed(self._database, connection, actor, f"{_kind(found)}.changed", name, told, action=needed)
            return self._require(connection, name)

        return self._database.write(work)

    def delete(self, actor: Actor, name: str, condition: Condition = ANY) -> None:
        """Delete one with its keys and tokens; rules speak of it no more. Raises :class:`PrincipalUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)

        def work(connection: Connection) -> None:
            found = self._require(connection, name)
            condition.require(found.revision)
            connection.execute(delete(_PRINCIPAL).where(_PRINCIPAL.c.id == found.id))
            told = forget_subject(connection, f"{_kind(found)}:{name}")
            changed(self._database, connection, actor, f"{_kind(found)}.deleted", name, told)

        self._database.write(work)

    def _add(
        self,
        actor: Actor,
        name: str,
        namespace: str | None,
        source: str,
        password_hash: str,
        description: str,
        *,
        administrator: bool = False,
    ) -> PrincipalRow:
        def work(connection: Connection) -> PrincipalRow:
            if connection.execute(_BY_NAME, {"name": name}).first() is not None:
                raise PrincipalTaken(f"there is a {name} already", detail={"name": name})
            insert_principal(self._database, connection, name, namespace, source, password_hash, description, actor)
            if administrator:
                make_administrator(self._database, connection, actor, f"user:{name}")
            return self._require(connection, name)

        return self._database.write(work)

    def _require(self, connection: Connection, name: str) -> PrincipalRow:
        row = connection.execute(_BY_NAME, {"name": name}).first()
        if row is None:
            raise PrincipalUnknown(f"there is no user or robot {name[:128]!r}", detail={"name": name[:128]})
        return self._row(connection, row)

    @staticmethod
    def _row(connection: Connection, row: Row[*tuple[Any, ...]]) -> PrincipalRow:
        teams = connection.scalars(_TEAMS_OF, {"principal": row.id}).all()
        return PrincipalRow(*[*row, teams])


def _kind(row: PrincipalRow) -> str:
    return "user" if row.namespace is None else "robot"
