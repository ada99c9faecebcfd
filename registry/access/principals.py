"""Users, robots and teams: made, changed, disabled and deleted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from registry.access.actors import ANONYMOUS, OPERATOR, Actor
from registry.access.authorizer import Action, Authorizer
from registry.access.rules import EVERYBODY
from registry.access.secrets import Passwords
from registry.access.standing import changed
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AccessRule, Principal, RefreshToken, Team, TeamMember
from registry.errors import PrincipalInvalid, PrincipalTaken, PrincipalUnknown
from registry.names import RepositoryName
from registry.pages import Page, cut

LOCAL, NO_PASSWORD = "local", ""
MAX_DESCRIPTION = 1000
RESERVED = frozenset({ANONYMOUS, OPERATOR, EVERYBODY, "moorage"})
_USER = re.compile(r"(?=.{1,128}$)[A-Za-z0-9]+(?:[._@-]+[A-Za-z0-9]+)*")
_PART = re.compile(r"(?=.{1,64}$)[a-z0-9]+(?:[._-]+[a-z0-9]+)*")
_PRINCIPAL, _TEAM, _MEMBER = table(Principal), table(Team), table(TeamMember)
_RULE, _REFRESH = table(AccessRule), table(RefreshToken)
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
)
_BY_NAME = _SHOWN.where(Principal.name == bindparam("name"))
_TEAMS_OF = (
    select(Team.name)
    .join(TeamMember, TeamMember.team_id == Team.id)
    .where(TeamMember.principal_id == bindparam("principal"))
    .order_by(Team.name)
)
_TEAM_BY_NAME = select(Team.id, Team.name, Team.description, Team.actor, Team.created_ms).where(
    Team.name == bindparam("name")
)
_MEMBERS = (
    select(Principal.name)
    .join(TeamMember, TeamMember.principal_id == Principal.id)
    .where(TeamMember.team_id == bindparam("team"))
    .order_by(Principal.name)
)


@dataclass(frozen=True, slots=True)
class PrincipalRow:
    """A user or (with a namespace) a robot, as it is stored; times are in milliseconds."""

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
    teams: Sequence[str]


@dataclass(frozen=True, slots=True)
class TeamRow:
    """A team with its members."""

    id: int
    name: str
    description: str
    actor: str
    created_ms: int
    members: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PrincipalWish:
    """What is to be changed of a user or robot; None leaves it."""

    password: str | None = None
    disabled: bool | None = None
    description: str | None = None


class PrincipalService:
    """Keeps users, robots and teams. All of it is for who may administer the registry, but one's own password."""

    def __init__(self, database: Database, authorizer: Authorizer, passwords: Passwords) -> None:
        """Keep them in ``database``."""
        self._database = database
        self._authorizer = authorizer
        self._passwords = passwords

    def add_user(
        self, actor: Actor, name: str, *, password: str | None, source: str = LOCAL, description: str = ""
    ) -> PrincipalRow:
        """Make a user; without a password it logs in by keys alone, or as its source says.

        Raises :class:`PrincipalInvalid`, :class:`PrincipalTaken`.
        """
        self._authorizer.require(actor, Action.ADMIN, None, name)
        check_user_name(name)
        kept = NO_PASSWORD if password is None else self._passwords.hash(password)
        return self._add(actor, name, None, source, kept, _checked(description))

    def add_robot(self, actor: Actor, namespace: str, name: str, *, description: str = "") -> PrincipalRow:
        """Make a robot of a namespace; it logs in by keys alone. Raises as :meth:`add_user` does."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        if RepositoryName.parse(f"{namespace}/any").namespace != namespace:
            raise PrincipalInvalid(
                "a namespace is the part of a name before its first slash", detail={"namespace": namespace}
            )
        if _PART.fullmatch(name) is None:
            raise PrincipalInvalid(
                "a robot's name is up to 64 of a-z, 0-9, and . _ - between", detail={"name": name[:64]}
            )
        return self._add(actor, f"{namespace}+{name}", namespace, LOCAL, NO_PASSWORD, _checked(description))

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

    def change(self, actor: Actor, name: str, wish: PrincipalWish) -> PrincipalRow:
        """Change a password, disable, or describe. A new password ends what was got with the old one.

        Raises :class:`PrincipalUnknown`, :class:`PrincipalInvalid`.
        """
        if not actor.is_itself(name) or wish.disabled is not None or wish.description is not None:
            self._authorizer.require(actor, Action.ADMIN, None, name)
        values: dict[str, object] = {}
        if wish.disabled is not None:
            values["disabled"] = wish.disabled
        if wish.description is not None:
            values["description"] = _checked(wish.description)
        if wish.password is not None:
            values["password_hash"] = self._passwords.hash(wish.password)

        def work(connection: Connection) -> PrincipalRow:
            found = self._require(connection, name)
            if "password_hash" in values and (found.namespace is not None or found.source != LOCAL):
                why = "robots have keys" if found.namespace else f"its password is kept by {found.source}"
                raise PrincipalInvalid(f"{name} has no password here: {why}", detail={"field": "password"})
            now = self._database.now(connection)
            ended = {"valid_from_ms": now} if "password_hash" in values or wish.disabled else {}
            if ended:
                connection.execute(delete(_REFRESH).where(_REFRESH.c.principal_id == found.id))
            statement = update(_PRINCIPAL).where(_PRINCIPAL.c.id == found.id)
            connection.execute(statement.values(**values, **ended, updated_ms=now))
            changed(connection)
            return self._require(connection, name)

        return self._database.write(work)

    def delete(self, actor: Actor, name: str) -> None:
        """Delete one with its keys and tokens; rules speak of it no more. Raises :class:`PrincipalUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)

        def work(connection: Connection) -> None:
            found = self._require(connection, name)
            connection.execute(delete(_PRINCIPAL).where(_PRINCIPAL.c.id == found.id))
            kind = "user" if found.namespace is None else "robot"
            _forget_subject(connection, f"{kind}:{name}")
            changed(connection)

        self._database.write(work)

    def add_team(self, actor: Actor, name: str, description: str = "") -> TeamRow:
        """Make a team without members; raises :class:`PrincipalInvalid`, :class:`PrincipalTaken`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        if _PART.fullmatch(name) is None:
            raise PrincipalInvalid(
                "a team's name is up to 64 of a-z, 0-9, and . _ - between", detail={"name": name[:64]}
            )

        def work(connection: Connection) -> TeamRow:
            if connection.execute(_TEAM_BY_NAME, {"name": name}).first() is not None:
                raise PrincipalTaken(f"there is a team {name} already", detail={"name": name})
            now = self._database.now(connection)
            row = {"name": name, "description": _checked(description), "actor": actor.principal, "created_ms": now}
            connection.execute(insert(_TEAM), row)
            changed(connection)
            return self._require_team(connection, name)

        return self._database.write(work)

    def teams(self, actor: Actor, limit: int, last: str) -> Page[TeamRow]:
        """Return at most ``limit`` teams by name after ``last``, without their members."""
        self._authorizer.require(actor, Action.ADMIN, None)
        statement = select(_TEAM).where(_TEAM.c.name > last).order_by(_TEAM.c.name).limit(limit + 1)
        with self._database.read() as connection:
            return cut([TeamRow(*row) for row in connection.execute(statement)], limit)

    def team(self, actor: Actor, name: str) -> TeamRow:
        """Return a team; raises :class:`PrincipalUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        with self._database.read() as connection:
            return self._require_team(connection, name)

    def join(self, actor: Actor, team: str, name: str) -> TeamRow:
        """Put a user or robot into a team; raises :class:`PrincipalUnknown`."""

        def work(connection: Connection, team_id: int, principal_id: int) -> None:
            statement = self._database.insert_ignore(TeamMember)
            connection.execute(statement.values(team_id=team_id, principal_id=principal_id))

        return self._change_members(actor, team, name, work)

    def leave(self, actor: Actor, team: str, name: str) -> TeamRow:
        """Take a user or robot out of a team; raises :class:`PrincipalUnknown`, also where it is not in it."""

        def work(connection: Connection, team_id: int, principal_id: int) -> None:
            of = (_MEMBER.c.team_id == team_id, _MEMBER.c.principal_id == principal_id)
            if connection.execute(delete(_MEMBER).where(*of)).rowcount != 1:
                raise PrincipalUnknown(f"{name} is not in team {team}", detail={"team": team, "name": name})

        return self._change_members(actor, team, name, work)

    def delete_team(self, actor: Actor, name: str) -> None:
        """Delete a team; rules speak of it no more. Raises :class:`PrincipalUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)

        def work(connection: Connection) -> None:
            found = self._require_team(connection, name)
            connection.execute(delete(_TEAM).where(_TEAM.c.id == found.id))
            _forget_subject(connection, f"team:{name}")
            changed(connection)

        self._database.write(work)

    def _change_members(
        self, actor: Actor, team: str, name: str, change: Callable[[Connection, int, int], None]
    ) -> TeamRow:
        self._authorizer.require(actor, Action.ADMIN, None, team)

        def work(connection: Connection) -> TeamRow:
            found, member = self._require_team(connection, team), self._require(connection, name)
            change(connection, found.id, member.id)
            changed(connection)
            return self._require_team(connection, team)

        return self._database.write(work)

    def _add(
        self, actor: Actor, name: str, namespace: str | None, source: str, password_hash: str, description: str
    ) -> PrincipalRow:
        def work(connection: Connection) -> PrincipalRow:
            if connection.execute(_BY_NAME, {"name": name}).first() is not None:
                raise PrincipalTaken(f"there is a {name} already", detail={"name": name})
            insert_principal(self._database, connection, name, namespace, source, password_hash, description, actor)
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

    @staticmethod
    def _require_team(connection: Connection, name: str) -> TeamRow:
        row = connection.execute(_TEAM_BY_NAME, {"name": name}).first()
        if row is None:
            raise PrincipalUnknown(f"there is no team {name[:128]!r}", detail={"name": name[:128]})
        return TeamRow(*row, members=connection.scalars(_MEMBERS, {"team": row.id}).all())


def _check_part(kind: str, name: str) -> None:
    if _PART.fullmatch(name) is None:
        raise PrincipalInvalid(
            f"a {kind}'s name is up to 64 of a-z, 0-9, and . _ - between", detail={"name": name[:64]}
        )


def check_user_name(name: str) -> None:
    """Raise :class:`PrincipalInvalid` for what cannot be a user's name."""
    if _USER.fullmatch(name) is None:
        raise PrincipalInvalid(
            "a user's name is up to 128 of A-Z, a-z, 0-9, and . _ @ - between", detail={"name": name[:128]}
        )
    if name.lower() in RESERVED:
        raise PrincipalInvalid(f"{name} is a name that means something else", detail={"name": name})


def insert_principal(
    database: Database,
    connection: Connection,
    name: str,
    namespace: str | None,
    source: str,
    password_hash: str,
    description: str,
    actor: Actor,
) -> int:
    """Make a principal in the caller's transaction, and return its id."""
    now = database.now(connection)
    row = {
        "name": name,
        "namespace": namespace,
        "source": source,
        "password_hash": password_hash,
        "disabled": False,
        "valid_from_ms": now,
        "description": description,
        "actor": actor.principal,
        "created_ms": now,
        "updated_ms": now,
    }
    made = connection.execute(insert(_PRINCIPAL).returning(_PRINCIPAL.c.id), row).scalar_one()
    changed(connection)
    return int(made)


def _checked(description: str) -> str:
    if len(description) > MAX_DESCRIPTION or not description.isprintable():
        raise PrincipalInvalid(
            f"a description is up to {MAX_DESCRIPTION} printable characters", detail={"field": "description"}
        )
    return description


def _forget_subject(connection: Connection, subject: str) -> None:
    """Take a subject out of all rules; a rule for nobody else goes: somebody new of this name gets nothing by it."""
    rows = connection.execute(select(_RULE.c.id, _RULE.c.definition).with_for_update()).all()
    for row in rows:
        definition = json.loads(row.definition)
        if subject not in definition["to"]:
            continue
        definition["to"] = [one for one in definition["to"] if one != subject]
        of = _RULE.c.id == row.id
        if definition["to"]:
            connection.execute(update(_RULE).where(of).values(definition=json.dumps(definition)))
        else:
            connection.execute(delete(_RULE).where(of))
