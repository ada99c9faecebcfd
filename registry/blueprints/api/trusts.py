"""Trusts: which tokens of other issuers speak for a robot, without any secret."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.access.trusts import TrustRow
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import moment
from registry.errors import PaginationInvalid, PrincipalUnknown, TrustInvalid, TrustTaken, TrustUnknown
from registry.revisions import Condition

blueprint = Blueprint("api_trusts", __name__, url_prefix=PREFIX)


class Trust(msgspec.Struct):
    """A trust. ``claims`` are lists of patterns by the claim's name; ``keys`` is a JWK Set in place of the issuer's."""

    name: str
    robot: str
    issuer: str
    audiences: list[str]
    claims: dict[str, list[str]]
    scopes: list[str]
    lifetime_seconds: int | None
    keys: dict[str, Any] | None
    actor: str
    created: datetime


class NewTrust(Body):
    """A trust to make.

    ``audiences`` are what tokens must be for, by default the setting ``external_url``. Every one of ``claims`` must
    match one of its patterns; a name that starts with a slash is a JSON pointer. ``scopes`` narrow as those of API keys
    do, and ``lifetime_seconds`` is the longest that a token of this registry lives which was got by it.
    """

    name: str
    robot: str
    issuer: str
    claims: dict[str, list[str]]
    audiences: list[str] = msgspec.field(default_factory=list)
    scopes: list[str] = msgspec.field(default_factory=list)
    lifetime_seconds: int | None = None
    keys: dict[str, Any] | None = None


class TokenInQuestion(Body):
    """A token of another issuer, and the robot that it should stand for; null: any."""

    token: str
    robot: str | None = None


class TrustTrial(msgspec.Struct):
    """What comes of the token by a trust: ``problems`` say why it is not let in."""

    trust: str
    robot: str
    fits: bool
    problems: list[str]


class TrustExplanation(msgspec.Struct):
    """What a token claims, be it true or not, and what comes of it by each trust in its issuer."""

    claims: dict[str, Any]
    trusts: list[TrustTrial]


@operation(blueprint, "GET", "/trusts", errors=(PaginationInvalid,))
def list_trusts(actor: Actor, query: PageQuery) -> PageOf[Trust]:
    """List trusts by name."""
    (last,) = query.after("")
    page = services().access.trusts.list(actor, query.size, str(last))
    return page_of(page, _shown, lambda row: (row.name,))


@operation(blueprint, "POST", "/trusts", status=201, errors=(TrustInvalid, TrustTaken, PrincipalUnknown))
def create_trust(actor: Actor, wanted: NewTrust) -> Reply[Trust]:
    """Make a trust: let tokens of an issuer stand for a robot. Whom they are of, at least one claim has to say."""
    definition = {
        "issuer": wanted.issuer,
        "audiences": wanted.audiences,
        "claims": wanted.claims,
        "scopes": wanted.scopes,
        "lifetime_seconds": wanted.lifetime_seconds,
        "keys": wanted.keys,
    }
    row = services().access.trusts.create(actor, wanted.name, wanted.robot, definition)
    return Reply(_shown(row), etag=row.revision, location=f"/trusts/{row.name}")


@operation(blueprint, "GET", "/trusts/{trust}", errors=(TrustUnknown,))
def show_trust(actor: Actor, trust: str) -> Reply[Trust]:
    """Show a trust."""
    row = services().access.trusts.show(actor, trust)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "DELETE", "/trusts/{trust}", errors=(TrustUnknown,))
def delete_trust(actor: Actor, trust: str, condition: Condition) -> None:
    """Remove a trust; tokens that were got by it are worth nothing from then on."""
    services().access.trusts.delete(actor, trust, condition)


@operation(blueprint, "POST", "/trusts/explanation", errors=(TrustInvalid,))
def explain_trusts(actor: Actor, wanted: TokenInQuestion) -> Reply[TrustExplanation]:
    """Tell what a token of another issuer claims, and why trusts let it in or not. Nothing is given for it."""
    found = services().access.federation.explain(actor, wanted.token, wanted.robot)
    trials = [TrustTrial(one.name, one.robot, not one.problems, list(one.problems)) for one in found.trials]
    return Reply(TrustExplanation(dict(found.claims), trials), secret=True)


def _shown(row: TrustRow) -> Trust:
    said = row.definition
    return Trust(
        row.name,
        row.robot,
        said["issuer"],
        said["audiences"],
        said["claims"],
        said.get("scopes", []),
        said.get("lifetime_seconds"),
        said.get("keys"),
        row.actor,
        moment(row.created_ms),
    )
