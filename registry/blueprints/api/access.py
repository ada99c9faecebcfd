"""Who one is, why something is allowed or not, and the keys that sign tokens."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from flask import Blueprint

from registry.access.actions import Action
from registry.access.actors import Actor, Kind
from registry.access.keys import KeyRow
from registry.audit import simulation
from registry.blueprints._http import repository, services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import MOST_POLICY, Body, Query
from registry.blueprints.api._operations import operation
from registry.blueprints.api._times import Time, maybe_moment, milliseconds, moment
from registry.errors import DigestInvalid, InputInvalid, NameInvalid, PrincipalUnknown, RuleInvalid, TagInvalid
from registry.names import parse_reference

blueprint = Blueprint("api_access", __name__, url_prefix=PREFIX)


class UsedKey(msgspec.Struct):
    """The API key that was shown, or that the token was got with; without ``scopes`` it narrows nothing."""

    prefix: str
    name: str
    scopes: list[str]
    expires: datetime | None


class Identity(msgspec.Struct):
    """Who the credentials are. ``kind`` is ``user``, ``robot``, ``anonymous``, or ``insider`` for the registry itself.

    ``token_scopes`` is what a token is for, null where none was shown. Without ``authentication`` nobody is asked who
    they are, and everybody may do everything.
    """

    authentication: bool
    principal: str
    kind: Kind
    teams: list[str]
    key: UsedKey | None
    token_scopes: list[str] | None


class ExplanationQuery(Query):
    """What is asked about: without ``repository`` the registry as a whole; ``address`` is where the client is."""

    principal: str
    action: Action
    repository: str | None = None
    reference: str = ""
    address: str = ""


class AccessExplanation(msgspec.Struct):
    """What would be decided, by which rule (empty: none speaks of it), and as what the principal is known to rules.

    ``plugin`` is the one that refuses what the rules allow, empty where none does.
    """

    principal: str
    action: Action
    repository: str | None
    reference: str
    address: str
    allowed: bool
    rule: str
    reason: str
    subjects: Sequence[str]
    plugin: str


class SimulationWish(Body):
    """The rules that are tried (definitions by name), and of which time is asked again what was asked then."""

    body_limit: ClassVar[int] = MOST_POLICY
    rules: dict[str, dict[str, Any]]
    since: Time
    until: Time | None = None


class Difference(msgspec.Struct):
    """What would be decided otherwise; ``tag`` is empty where it was about none.

    ``allowed`` is what it would be; ``rule`` decided then, ``new_rule`` would decide, each empty where none speaks of
    it. ``address`` is where it was last asked from, ``count`` how often it was asked.
    """

    principal: str
    action: Action
    repository: str
    tag: str
    allowed: bool
    rule: str
    new_rule: str
    address: str
    first: datetime
    last: datetime
    count: int


class Simulation(msgspec.Struct):
    """How many requests were decided again, and what would turn out differently: first what would be denied.

    ``gone`` more were of principals that may do nothing any more. Where it is not ``complete``, there were more than
    are looked at at once: ask about a shorter time.
    """

    requests: int
    gone: int
    complete: bool
    differences: list[Difference]


class TokenKey(msgspec.Struct):
    """The key that signs from now on, by the id that ``/.well-known/jwks.json`` gives it."""

    id: str


@operation(blueprint, "GET", "/whoami")
def show_identity(actor: Actor) -> Identity:
    """Tell who the credentials of this request are, and to what they are narrowed."""
    access = services().access
    found = access.identities.tell(actor)
    key = None if found.key is None else _used(found.key)
    scopes = None if found.token_scopes is None else list(found.token_scopes)
    return Identity(access.terms.authentication, found.principal, found.kind, list(found.teams), key, scopes)


@operation(
    blueprint,
    "GET",
    "/access/explanation",
    errors=(NameInvalid, TagInvalid, DigestInvalid, PrincipalUnknown),
)
def explain_access(actor: Actor, query: ExplanationQuery) -> AccessExplanation:
    """Tell whether a principal may do something, by which rule, and why: one's own, or anybody's as an administrator.

    ``anonymous`` is who shows no credentials.
    """
    name = None if query.repository is None else repository(query.repository)
    if query.reference:
        parse_reference(query.reference)
    found = services().access.explainer.explain(
        actor, query.principal, query.action, name, query.reference, _address(query.address)
    )
    return AccessExplanation(
        query.principal,
        query.action,
        query.repository,
        query.reference,
        query.address,
        found.allowed,
        found.rule,
        found.reason,
        found.subjects,
        found.plugin,
    )


@operation(blueprint, "POST", "/access/token-keys", status=201)
def rotate_token_key(actor: Actor) -> TokenKey:
    """Let a new key sign tokens from now on; what the old one signed is good until it expires."""
    return TokenKey(services().access.token_keys.rotate(actor))


@operation(blueprint, "POST", "/access/simulation", errors=(RuleInvalid, PrincipalUnknown))
def simulate_access(actor: Actor, wanted: SimulationWish) -> Simulation:
    """Decide again, by other rules, what the audit log tells of, and list what would turn out differently."""
    until = None if wanted.until is None else milliseconds(wanted.until)
    found = services().simulator.simulate(actor, wanted.rules, milliseconds(wanted.since), until)
    return Simulation(found.requests, found.gone, found.complete, [_differs(one) for one in found.differences])


def _differs(one: simulation.Difference) -> Difference:
    return Difference(
        one.principal,
        Action(one.action),
        one.repository,
        one.tag,
        one.allowed,
        one.rule,
        one.new_rule,
        one.address,
        moment(one.first_ms),
        moment(one.last_ms),
        one.count,
    )


def _used(row: KeyRow) -> UsedKey:
    return UsedKey(row.prefix, row.name, list(row.scopes), maybe_moment(row.expires_ms))


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise InputInvalid("address must be an address of IPv4 or IPv6", detail={"address": text[:64]}) from None
