"""Teams: groups of users and robots that rules can name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.access.principal_rows import check_part, checked_description, forget_subject, is_part
from registry.access.standing import changed
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Principal, Team, TeamMember
from registry.errors import PrincipalTaken, PrincipalUnknown
from registry.pages import Page, cut
from registry.revisions import ANY, Condition, revision_of

_TEAM, _MEMBER, _NAMES = table(Team), table(TeamMember), "team_names"
_BY_NAME = select(Team.id, Team.name, Team.description, Team.actor, Team.created_ms).where(
    Team.name == bindparam("name")
)
_MEMBERS = (
    select(Principal.name)
    .join(TeamMember, TeamMember.principal_id == Principal.id)
    .where(TeamMember.team_id == bindparam("team"))
    .order_by(Principal.name)
)


@dataclass(frozen=True, slots=True)
class TeamRow:
    """A team with its members."""

    id: int
    name: str
    description: str
    actor: str
    created_ms: int
    members: Sequence[str] = ()

    @property
    def revision(self) -> str:
        """A text that changes with the team and its members."""
        return revision_of(self.id, self.description, list(self.members))


class TeamService:
    """Keeps teams, for who may administer the registry."""

    def __init__(self, database: Database, authorizer: Authorizer) -> None:
        """Keep them in ``database``."""
        self._database = database
        self._authorizer = authorizer

    def create(self, actor: Actor, name: str, description: str = "") -> TeamRow:
        """Make a team without members; raises :class:`PrincipalInvalid`, :class:`PrincipalTaken`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        check_part("team", name)
        about = checked_description(description)

        def work(connection: Connection) -> TeamRow:
            if connection.execute(_BY_NAME, {"name": name}).first() is not None:
                raise PrincipalTaken(f"there is a team {name} already", detail={"name": name})
            now = self._database.now(connection)
            row = {
                "name": name,
                "description": about,
                "actor": actor.principal,
                "created_ms": now,
            }
            connection.execute(insert(_TEAM), row)
            changed(connection)
            return self._require(connection, name)

        return self._database.write(work)

    def list(self, actor: Actor, limit: int, last: str) -> Page[TeamRow]:
        """Return at most ``limit`` teams by name after ``last``, without their members."""
        self._authorizer.require(actor, Action.ADMIN, None)
        statement = select(_TEAM).where(_TEAM.c.name > last).order_by(_TEAM.c.name).limit(limit + 1)
        with self._database.read() as connection:
            return cut([TeamRow(*row) for row in connection.execute(statement)], limit)

    def show(self, actor: Actor, name: str) -> TeamRow:
        """Return a team; raises :class:`PrincipalUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        with self._database.read() as connection:
            return self._require(connection, name)

    def join(self, actor: Actor, team: str, name: str) -> TeamRow:
        """Put a user or robot into a team; raises :class:`PrincipalUnknown`."""

        def work(connection: Connection, team_id: int, principal_id: int) -> None:
            statement = self._database.insert_ignore(TeamMember)
            connection.execute(statement.values(team_id=team_id, principal_id=principal_id))

        return self._change(actor, team, name, work)

    def leave(self, actor: Actor, team: str, name: str) -> TeamRow:
        """Take a user or robot out of a team; raises :class:`PrincipalUnknown`, also where it is not in it."""

        def work(connection: Connection, team_id: int, principal_id: int) -> None:
            of = (_MEMBER.c.team_id == team_id, _MEMBER.c.principal_id == principal_id)
            if connection.execute(delete(_MEMBER).where(*of)).rowcount != 1:
                raise PrincipalUnknown(f"{name} is not in team {team}", detail={"team": team, "name": name})

        return self._change(actor, team, name, work)

    def delete(self, actor: Actor, name: str, condition: Condition = ANY) -> None:
        """Delete a team; rules speak of it no more. Raises :class:`PrincipalUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)

        def work(connection: Connection) -> None:
            found = self._require(connection, name)
            condition.require(found.revision)
            connection.execute(delete(_TEAM).where(_TEAM.c.id == found.id))
            forget_subject(connection, f"team:{name}")
            changed(connection)

        self._database.write(work)

    def _change(self, actor: Actor, team: str, name: str, change: Callable[[Connection, int, int], None]) -> TeamRow:
        self._authorizer.require(actor, Action.ADMIN, None, team)

        def work(connection: Connection) -> TeamRow:
            found, member = self._require(connection, team), _member(connection, name)
            change(connection, found.id, member)
            changed(connection)
            return self._require(connection, team)

        return self._database.write(work)

    @staticmethod
    def _require(connection: Connection, name: str) -> TeamRow:
        row = connection.execute(_BY_NAME, {"name": name}).first()
        if row is None:
            raise PrincipalUnknown(f"there is no team {name[:128]!r}", detail={"name": name[:128]})
        return TeamRow(*row, members=connection.scalars(_MEMBERS, {"team": row.id}).all())


def _member(connection: Connection, name: str) -> int:
    found = connection.execute(select(Principal.id).where(Principal.name == name)).scalar()
    if found is None:
        raise PrincipalUnknown(f"there is no user or robot {name[:128]!r}", detail={"name": name[:128]})
    return int(found)


def changes_of_teams(
    database: Database, connection: Connection, principal_id: int, names: Sequence[str]
) -> tuple[set[int], set[int]]:
    """Return the ids of the teams that a principal joins and leaves to be in those named ones that there are."""
    values = {_NAMES: database.listed(sorted(name for name in set(names) if is_part(name)))}
    wanted = set(connection.scalars(select(Team.id).where(database.among(_TEAM.c.name, _NAMES)), values))
    present = set(connection.scalars(select(TeamMember.team_id).where(TeamMember.principal_id == principal_id)))
    return wanted - present, present - wanted


def keep_teams(database: Database, connection: Connection, principal_id: int, names: Sequence[str]) -> None:
    """Let a principal be in those of the named teams that there are, and in no others, in the caller's transaction."""
    joined, left = changes_of_teams(database, connection, principal_id, names)
    for team_id in sorted(left):
        connection.execute(delete(_MEMBER).where(_MEMBER.c.team_id == team_id, _MEMBER.c.principal_id == principal_id))
    for team_id in sorted(joined):
        connection.execute(database.insert_ignore(TeamMember).values(team_id=team_id, principal_id=principal_id))
    if joined or left:
        changed(connection)
