"""Robots: programs of a namespace, which log in with keys."""

from __future__ import annotations

from datetime import datetime

import msgspec
from flask import Blueprint

from registry.access.actors import Actor, Kind
from registry.access.principals import PrincipalRow, PrincipalWish
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._principals import require_kind
from registry.blueprints.api._times import moment
from registry.errors import NameInvalid, PaginationInvalid, PrincipalInvalid, PrincipalTaken, PrincipalUnknown
from registry.revisions import Condition

blueprint = Blueprint("api_robots", __name__, url_prefix=PREFIX)


class Robot(msgspec.Struct):
    """A robot; its name is that of its namespace, a plus, and its own."""

    name: str
    namespace: str
    disabled: bool
    description: str
    teams: list[str]
    actor: str
    created: datetime
    updated: datetime


class NewRobot(Body):
    """A robot to make: ``ci`` of the namespace ``team`` is called ``team+ci``."""

    namespace: str
    name: str
    description: str = ""


class RobotChange(Body):
    """What is to be changed of a robot; null leaves it."""

    disabled: bool | None = None
    description: str | None = None


@operation(blueprint, "GET", "/robots", errors=(PaginationInvalid,))
def list_robots(actor: Actor, query: PageQuery) -> PageOf[Robot]:
    """List robots by name."""
    (last,) = query.after("")
    page = services().access.principals.list(actor, robots=True, limit=query.size, last=str(last))
    return page_of(page, _shown, lambda row: (row.name,))


@operation(blueprint, "POST", "/robots", status=201, errors=(NameInvalid, PrincipalInvalid, PrincipalTaken))
def create_robot(actor: Actor, wanted: NewRobot) -> Reply[Robot]:
    """Make a robot. It may do nothing before a rule of the policy says so."""
    row = services().access.principals.add_robot(actor, wanted.namespace, wanted.name, description=wanted.description)
    return Reply(_shown(row), etag=row.revision, location=f"/robots/{row.name}")


@operation(blueprint, "GET", "/robots/{robot}", errors=(PrincipalUnknown,))
def show_robot(actor: Actor, robot: str) -> Reply[Robot]:
    """Show a robot; each may look at itself."""
    require_kind(Kind.ROBOT, robot)
    row = services().access.principals.show(actor, robot)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "PATCH", "/robots/{robot}", errors=(PrincipalUnknown, PrincipalInvalid))
def change_robot(actor: Actor, robot: str, wanted: RobotChange, condition: Condition) -> Reply[Robot]:
    """Disable, enable or describe a robot."""
    require_kind(Kind.ROBOT, robot)
    wish = PrincipalWish(disabled=wanted.disabled, description=wanted.description)
    row = services().access.principals.change(actor, robot, wish, condition)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "DELETE", "/robots/{robot}", errors=(PrincipalUnknown,))
def delete_robot(actor: Actor, robot: str, condition: Condition) -> None:
    """Delete a robot with its keys and tokens; rules of the policy speak of it no more."""
    require_kind(Kind.ROBOT, robot)
    services().access.principals.delete(actor, robot, condition)


def _shown(row: PrincipalRow) -> Robot:
    return Robot(
        row.name,
        row.namespace or "",
        row.disabled,
        row.description,
        list(row.teams),
        row.actor,
        moment(row.created_ms),
        moment(row.updated_ms),
    )
