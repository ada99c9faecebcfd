"""Identities of providers, by which users log in."""

from __future__ import annotations

from datetime import datetime

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.access.links import IdentityRow
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._times import maybe_moment, moment
from registry.errors import (
    IdentityTaken,
    IdentityUnknown,
    PrincipalInvalid,
    PrincipalUnknown,
    ProviderUnknown,
)

blueprint = Blueprint("api_identities", __name__, url_prefix=PREFIX)


class LinkedIdentity(msgspec.Struct):
    """A subject of an issuer that logs in as a user.

    ``provider`` is empty where no setting names its issuer any more.
    """

    id: int
    user: str
    provider: str
    issuer: str
    subject: str
    actor: str
    created: datetime
    last_login: datetime | None


class Identities(msgspec.Struct):
    """All identities of a user, oldest first."""

    items: list[LinkedIdentity]


class NewIdentity(Body):
    """A subject (the claim ``sub``) of a provider of the settings."""

    provider: str
    subject: str


@operation(blueprint, "GET", "/users/{user}/identities", errors=(PrincipalUnknown,))
def list_identities(actor: Actor, user: str) -> Identities:
    """List the identities of a user."""
    return Identities([_shown(row) for row in services().access.links.list(actor, user)])


@operation(
    blueprint,
    "POST",
    "/users/{user}/identities",
    status=201,
    errors=(PrincipalUnknown, PrincipalInvalid, ProviderUnknown, IdentityTaken),
)
def link_identity(actor: Actor, user: str, wanted: NewIdentity) -> Reply[LinkedIdentity]:
    """Let somebody of a provider log in as a user."""
    return Reply(_shown(services().access.links.link(actor, user, wanted.provider, wanted.subject)))


@operation(blueprint, "DELETE", "/users/{user}/identities/{identity}", errors=(PrincipalUnknown, IdentityUnknown))
def unlink_identity(actor: Actor, user: str, identity: int) -> None:
    """Let an identity log in as a user no more; keys that it has got go on until they end."""
    services().access.links.unlink(actor, user, identity)


def _shown(row: IdentityRow) -> LinkedIdentity:
    return LinkedIdentity(
        row.id,
        row.owner,
        services().access.links.provider_of(row),
        row.issuer,
        row.subject,
        row.actor,
        moment(row.created_ms),
        maybe_moment(row.last_login_ms),
    )
