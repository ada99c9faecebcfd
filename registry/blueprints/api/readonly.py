"""The switch that makes the whole registry read-only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import operation
from registry.blueprints.api._times import maybe_moment
from registry.errors import RequestInvalid
from registry.operations.readonly import MAX_REASON, ReadOnlyState

blueprint = Blueprint("api_readonly", __name__, url_prefix=PREFIX)


class ReadOnly(msgspec.Struct):
    """How the switch stands: why it is on, who switched it last, and since when it is as it is.

    ``settled`` says that the registry is read-only and nothing is written any more, by any process.
    """

    on: bool
    reason: str
    by: str
    since: datetime | None
    settled: bool


class Reason(Body):
    """Why the registry is made read-only; everybody is told who wants to change something."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_REASON)]


@operation(blueprint, "GET", "/readonly")
def show_readonly(actor: Actor) -> ReadOnly:
    """Tell whether the registry is read-only, and whether nothing is written any more."""
    return _shown(services().readonly.state(actor))


@operation(blueprint, "PUT", "/readonly", errors=(RequestInvalid,))
def switch_readonly_on(actor: Actor, wanted: Reason) -> ReadOnly:
    """Make the registry read-only, in every process within two seconds; pulls and logins go on."""
    return _shown(services().readonly.switch_on(actor, wanted.reason))


@operation(blueprint, "DELETE", "/readonly")
def switch_readonly_off(actor: Actor) -> ReadOnly:
    """Let the registry take writes again, in every process within two seconds."""
    return _shown(services().readonly.switch_off(actor))


def _shown(state: ReadOnlyState) -> ReadOnly:
    return ReadOnly(state.on, state.reason, state.actor, maybe_moment(state.since_ms), state.settled)
