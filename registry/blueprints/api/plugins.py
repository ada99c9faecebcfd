"""Plugins: what became of each, how it does, and whether it may be called."""

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
from registry.blueprints.api._times import maybe_moment, moment
from registry.errors import PluginUnknown, RequestInvalid
from registry.isolation.blocks import Block as StoredBlock
from registry.isolation.blocks import PluginCare

blueprint = Blueprint("api_plugins", __name__, url_prefix=PREFIX)


class Block(msgspec.Struct):
    """Why a plugin is not called, since when, and who decided it; ``automatic``: the registry switched it off."""

    reason: str
    by: str
    since: datetime
    automatic: bool


class HookHealth(msgspec.Struct):
    """How a plugin's implementation of one hook did, in all processes together."""

    hook: str
    calls: int
    failures: int
    seconds: float
    last_error: str
    last_failed: datetime | None


class Plugin(msgspec.Struct):
    """A plugin that was found.

    ``state`` is what became of it when this server started (``active``, ``blocked`` or ``failed``, with the
    ``reason``), or ``switched off``, ``blocked`` and ``slow`` since then.
    """

    name: str
    source: str
    distribution: str
    version: str
    state: str
    reason: str
    hooks: list[str]
    block: Block | None
    health: list[HookHealth]


class Plugins(msgspec.Struct):
    """All plugins, in the order in which they are asked."""

    items: list[Plugin]


class NewBlock(Body):
    """Why a plugin is blocked; kept on record, and told where it is missed."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


@operation(blueprint, "GET", "/plugins")
def list_plugins(actor: Actor) -> Plugins:
    """List all plugins that were found, and how each does."""
    cared = services().plugin_blocks.cared_for(actor)
    found = []
    for status in services().plugins:
        care = cared[status.name]
        found.append(
            Plugin(
                status.name,
                status.source,
                status.distribution,
                status.version,
                _state(status.state, care),
                status.reason or ("" if care.block is None else care.block.reason),
                list(status.hooks),
                None if care.block is None else _block(care.block),
                _health(care),
            )
        )
    return Plugins(found)


@operation(blueprint, "PUT", "/plugins/{plugin}/block", errors=(PluginUnknown, RequestInvalid))
def block_plugin(actor: Actor, plugin: str, wanted: NewBlock) -> None:
    """Have no process call a plugin any more, within seconds; it counts as not installed."""
    services().plugin_blocks.block(actor, plugin, wanted.reason)


@operation(blueprint, "DELETE", "/plugins/{plugin}/block", errors=(PluginUnknown,))
def unblock_plugin(actor: Actor, plugin: str) -> None:
    """Have a plugin called again that was blocked or switched off."""
    services().plugin_blocks.unblock(actor, plugin)


def _state(started: str, care: PluginCare) -> str:
    if started != "active":
        return started
    if care.block is not None:
        return "switched off" if care.block.automatic else "blocked"
    return "slow" if care.slow else started


def _block(found: StoredBlock) -> Block:
    return Block(found.reason, found.actor, moment(found.blocked_ms), found.automatic)


def _health(care: PluginCare) -> list[HookHealth]:
    return [
        HookHealth(
            one.hook, one.calls, one.failures, one.micros / 1e6, one.last_error, maybe_moment(one.last_error_ms or None)
        )
        for one in care.health
    ]
