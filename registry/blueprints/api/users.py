"""Users: people who log in with a password, or with keys."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

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
from registry.errors import PaginationInvalid, PrincipalInvalid, PrincipalTaken, PrincipalUnknown
from registry.revisions import Condition

blueprint = Blueprint("api_users", __name__, url_prefix=PREFIX)


class User(msgspec.Struct):
    """A user. ``source`` says who keeps the password: ``local`` (the registry) or ``htpasswd`` (that file).

    ``oidc`` has none: it was made when somebody of a provider logged in.
    """

    name: str
    source: str
    has_password: bool
    disabled: bool
    description: str
    teams: list[str]
    actor: str
    created: datetime
    updated: datetime


class NewUser(Body):
    """A user to make. An ``administrator`` may do everything.

    Without a password it logs in by keys alone, or with the one that ``source`` has of it: the file of users.
    """

    name: str
    password: str | None = None
    description: str = ""
    administrator: bool = False
    source: Literal["local", "htpasswd"] = "local"


class UserChange(Body):
    """What is to be changed of a user; null leaves it."""

    password: str | None = None
    disabled: bool | None = None
    description: str | None = None


@operation(blueprint, "GET", "/users", errors=(PaginationInvalid,))
def list_users(actor: Actor, query: PageQuery) -> PageOf[User]:
    """List users by name."""
    (last,) = query.after("")
    page = services().access.principals.list(actor, robots=False, limit=query.size, last=str(last))
    return page_of(page, _shown, lambda row: (row.name,))


@operation(blueprint, "POST", "/users", status=201, errors=(PrincipalInvalid, PrincipalTaken))
def create_user(actor: Actor, wanted: NewUser) -> Reply[User]:
    """Make a user."""
    row = services().access.principals.add_user(
        actor,
        wanted.name,
        password=wanted.password,
        source=wanted.source,
        description=wanted.description,
        administrator=wanted.administrator,
    )
    return Reply(_shown(row), etag=row.revision, location=f"/users/{row.name}")


@operation(blueprint, "GET", "/users/{user}", errors=(PrincipalUnknown,))
def show_user(actor: Actor, user: str) -> Reply[User]:
    """Show a user; everybody may look at oneself."""
    require_kind(Kind.USER, user)
    row = services().access.principals.show(actor, user)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "PATCH", "/users/{user}", errors=(PrincipalUnknown, PrincipalInvalid))
def change_user(actor: Actor, user: str, wanted: UserChange, condition: Condition) -> Reply[User]:
    """Change a user. One's own password one may change oneself; a new one ends what was got with the old one."""
    require_kind(Kind.USER, user)
    wish = PrincipalWish(wanted.password, wanted.disabled, wanted.description)
    row = services().access.principals.change(actor, user, wish, condition)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "DELETE", "/users/{user}", errors=(PrincipalUnknown,))
def delete_user(actor: Actor, user: str, condition: Condition) -> None:
    """Delete a user with its keys and tokens; rules of the policy speak of it no more."""
    require_kind(Kind.USER, user)
    services().access.principals.delete(actor, user, condition)


def _shown(row: PrincipalRow) -> User:
    return User(
        row.name,
        row.source,
        row.has_password,
        row.disabled,
        row.description,
        list(row.teams),
        row.actor,
        moment(row.created_ms),
        moment(row.updated_ms),
    )
