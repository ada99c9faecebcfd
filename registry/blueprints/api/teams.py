"""Teams: groups of users and robots that rules of the policy can name."""

from __future__ import annotations

from datetime import datetime

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.access.teams import TeamRow
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import moment
from registry.errors import PaginationInvalid, PrincipalInvalid, PrincipalTaken, PrincipalUnknown
from registry.revisions import Condition

blueprint = Blueprint("api_teams", __name__, url_prefix=PREFIX)


class TeamInList(msgspec.Struct):
    """A team, without its members."""

    name: str
    description: str
    actor: str
    created: datetime


class Team(TeamInList):
    """A team with its members, which are users and robots."""

    members: list[str]


class NewTeam(Body):
    """A team to make."""

    name: str
    description: str = ""


@operation(blueprint, "GET", "/teams", errors=(PaginationInvalid,))
def list_teams(actor: Actor, query: PageQuery) -> PageOf[TeamInList]:
    """List teams by name."""
    (last,) = query.after("")
    page = services().access.teams.list(actor, query.size, str(last))
    return page_of(page, _in_list, lambda row: (row.name,))


@operation(blueprint, "POST", "/teams", status=201, errors=(PrincipalInvalid, PrincipalTaken))
def create_team(actor: Actor, wanted: NewTeam) -> Reply[Team]:
    """Make a team without members."""
    return _shown(services().access.teams.create(actor, wanted.name, wanted.description), made=True)


@operation(blueprint, "GET", "/teams/{team}", errors=(PrincipalUnknown,))
def show_team(actor: Actor, team: str) -> Reply[Team]:
    """Show a team."""
    return _shown(services().access.teams.show(actor, team))


@operation(blueprint, "PUT", "/teams/{team}/members/{member}", errors=(PrincipalUnknown,))
def join_team(actor: Actor, team: str, member: str) -> Reply[Team]:
    """Put a user or robot into a team."""
    return _shown(services().access.teams.join(actor, team, member))


@operation(blueprint, "DELETE", "/teams/{team}/members/{member}", errors=(PrincipalUnknown,))
def leave_team(actor: Actor, team: str, member: str) -> None:
    """Take a user or robot out of a team."""
    services().access.teams.leave(actor, team, member)


@operation(blueprint, "DELETE", "/teams/{team}", errors=(PrincipalUnknown,))
def delete_team(actor: Actor, team: str, condition: Condition) -> None:
    """Delete a team; rules of the policy speak of it no more."""
    services().access.teams.delete(actor, team, condition)


def _in_list(row: TeamRow) -> TeamInList:
    return TeamInList(row.name, row.description, row.actor, moment(row.created_ms))


def _shown(row: TeamRow, *, made: bool = False) -> Reply[Team]:
    team = Team(row.name, row.description, row.actor, moment(row.created_ms), list(row.members))
    return Reply(team, etag=row.revision, location=f"/teams/{row.name}" if made else "")
