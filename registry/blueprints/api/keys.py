"""API keys: what users and robots log in with instead of a password."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._keys import Key, MadeKey, made_key, shown_key
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.errors import KeyUnknown, PaginationInvalid, PrincipalInvalid, PrincipalUnknown, ScopeInvalid
from registry.pages import cut

blueprint = Blueprint("api_keys", __name__, url_prefix=PREFIX)
_LONGEST_SECONDS = 36_500 * 86_400
_OVERLAP_SECONDS = 3600


class KeyWish(Body):
    """A key to make; ``scopes`` are a role, or a role and a pattern of repositories: ``push:team/*``."""

    name: str
    scopes: list[str] = msgspec.field(default_factory=list)
    expires_in_seconds: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST_SECONDS)] | None = None


class Rotation(Body):
    """How long the old key goes on being good beside the new one."""

    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=_LONGEST_SECONDS)] = _OVERLAP_SECONDS


@operation(blueprint, "GET", "/principals/{principal}/keys", errors=(PrincipalUnknown, PaginationInvalid))
def list_keys(actor: Actor, principal: str, query: PageQuery) -> PageOf[Key]:
    """List the keys of a user or robot, oldest first; those that expired are listed for thirty days."""
    (last,) = query.after(0)
    later = [row for row in services().access.keys.list(actor, principal) if row.id > int(last)]
    return page_of(cut(later[: query.size + 1], query.size), shown_key, lambda row: (row.id,))


@operation(
    blueprint,
    "POST",
    "/principals/{principal}/keys",
    status=201,
    errors=(PrincipalUnknown, PrincipalInvalid, ScopeInvalid),
)
def create_key(actor: Actor, principal: str, wanted: KeyWish) -> Reply[MadeKey]:
    """Make a key of a user or robot: one's own with one's password, or anybody's as an administrator."""
    lives_ms = None if wanted.expires_in_seconds is None else wanted.expires_in_seconds * 1000
    made = services().access.keys.create(actor, principal, wanted.name, wanted.scopes, lives_ms=lives_ms)
    return made_key(made)


@operation(
    blueprint,
    "POST",
    "/principals/{principal}/keys/{key}/rotate",
    status=201,
    errors=(KeyUnknown, PrincipalUnknown, PrincipalInvalid),
)
def rotate_key(actor: Actor, principal: str, key: str, wanted: Rotation) -> Reply[MadeKey]:
    """Make a key as another one (its prefix), which ends after an overlap; the new one lives as long as that was to."""
    made = services().access.keys.rotate(actor, principal, key, overlap_ms=wanted.overlap_seconds * 1000)
    return made_key(made)


@operation(blueprint, "DELETE", "/principals/{principal}/keys/{key}", errors=(KeyUnknown,))
def delete_key(actor: Actor, principal: str, key: str) -> None:
    """End a key (its prefix) at once, with the tokens that were got with it."""
    services().access.keys.delete(actor, principal, key)
