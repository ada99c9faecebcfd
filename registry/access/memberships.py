"""The teams of users whom somebody else keeps: as that source tells them at a login."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select

from registry.access.actors import Actor
from registry.access.principal_rows import is_part
from registry.access.standing import changed
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Team, TeamMember

_TEAM, _MEMBER, _NAMES = table(Team), table(TeamMember), "team_names"
_PRESENT = (
    select(_TEAM.c.id, _TEAM.c.name)
    .join(_MEMBER, _MEMBER.c.team_id == _TEAM.c.id)
    .where(_MEMBER.c.principal_id == bindparam("principal"))
)
_LEAVE = delete(_MEMBER).where(
    _MEMBER.c.team_id == bindparam("b_team"), _MEMBER.c.principal_id == bindparam("b_principal")
)


@dataclass(frozen=True, slots=True)
class Moves:
    """The teams that a principal joins and leaves, with their ids by name, and those named that are not there."""

    joins: Mapping[str, int]
    leaves: Mapping[str, int]
    lacking: Collection[str]

    @property
    def stays(self) -> bool:
        """Whether it is in the right teams already."""
        return not (self.joins or self.leaves)


STAYS = Moves({}, {}, ())


def moves_of(
    database: Database,
    connection: Connection,
    principal_id: int,
    named: Collection[str],
    within: Collection[str] | None = None,
) -> Moves:
    """Return how a principal comes to be in the teams that are ``named``.

    Only teams that are there are joined, and only those ``within`` are left; None: whatever it is in.
    """
    values = {_NAMES: database.listed(sorted(filter(is_part, set(named))))}
    there = select(_TEAM.c.name, _TEAM.c.id).where(database.among(_TEAM.c.name, _NAMES))
    wanted = {name: int(team) for name, team in connection.execute(there, values)}
    present = {name: int(team) for team, name in connection.execute(_PRESENT, {"principal": principal_id})}
    joins = {name: team for name, team in wanted.items() if name not in present}
    leaves = {name: team for name, team in present.items() if name not in wanted and (within is None or name in within)}
    return Moves(joins, leaves, set(named) - set(wanted))


def keep_teams(database: Database, connection: Connection, member: Actor, principal_id: int, moves: Moves) -> None:
    """Let a principal, who just logged in, join and leave teams, in the caller's transaction."""
    for name, team in sorted(moves.leaves.items()):
        connection.execute(_LEAVE, {"b_team": team, "b_principal": principal_id})
        changed(database, connection, member, "team.left", name, {"member": member.principal}, action=None)
    for name, team in sorted(moves.joins.items()):
        row = {"team_id": team, "principal_id": principal_id}
        connection.execute(database.insert_ignore(TeamMember).values(row))
        changed(database, connection, member, "team.joined", name, {"member": member.principal}, action=None)
