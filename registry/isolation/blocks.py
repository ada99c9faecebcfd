"""Plugins that are not called any more: blocked by an operator, or switched off as they failed too badly.

The table is what all processes follow. A blocked plugin counts as not installed. One that was switched off is refused
by its name: what it decides about stays closed, until an operator unblocks it or a server starts anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, delete, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.audit.entries import write
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import PluginBlock
from registry.errors import PluginUnknown, RegistryError, RequestInvalid
from registry.hooks.calls import Calls
from registry.hooks.guards import Guard
from registry.isolation.health import HealthService, HookHealth

_log = logging.getLogger(__name__)
_BLOCK = table(PluginBlock)
_ALL = select(_BLOCK)
MAX_REASON = 1000
_REGISTRY = "moorage"
"""Who switches a plugin off."""


@dataclass(frozen=True, slots=True)
class Block:
    """Why a plugin is not called, by whom it was decided, and when (milliseconds); ``automatic``: by the registry."""

    reason: str
    actor: str
    blocked_ms: int
    automatic: bool


@dataclass(frozen=True, slots=True)
class PluginCare:
    """What is known of one plugin beside what became of it at the start."""

    slow: bool
    block: Block | None
    health: Sequence[HookHealth]


class BlockService:
    """Blocks plugins, and has this process follow what was decided in any."""

    def __init__(
        self, database: Database, authorizer: Authorizer, calls: Calls, names: Sequence[str], health: HealthService
    ) -> None:
        """Know the plugins ``names``, also those that are not active."""
        self._database = database
        self._authorizer = authorizer
        self._calls = calls
        self._names = names
        self._health = health

    def cared_for(self, actor: Actor) -> Mapping[str, PluginCare]:
        """Return what is known of every plugin, by its name."""
        self._authorizer.require(actor, Action.ADMIN, None)
        blocks, health = self._read(), self._health.of_all()
        guards = self._calls.guards
        return {
            name: PluginCare(name in guards and guards[name].slow, blocks.get(name), health.get(name, ()))
            for name in self._names
        }

    def block(self, actor: Actor, name: str, reason: str) -> None:
        """Have nobody call a plugin any more; raises :class:`PluginUnknown`, or :class:`RequestInvalid`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        self._require(name)
        if not reason.strip() or len(reason) > MAX_REASON or "\0" in reason:
            raise RequestInvalid(f"say why, in 1 to {MAX_REASON} characters", detail={"reason": reason[:64]})
        self._put(name, reason.strip(), actor, automatic=False)
        _log.warning("plugin %s is blocked by %s: %s; it decides about nothing", name, actor.principal, reason)
        self.refresh()

    def unblock(self, actor: Actor, name: str) -> None:
        """Have a plugin called again; raises :class:`PluginUnknown`, also where it is not blocked."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        self._require(name)
        guard = self._calls.guards.get(name)

        def work(connection: Connection) -> None:
            gone = connection.execute(delete(_BLOCK).where(_BLOCK.c.plugin == name)).rowcount
            if not gone and (guard is None or guard.final or not guard.off):
                raise PluginUnknown(f"plugin {name} is not blocked", detail={"plugin": name})
            write(self._database, connection, actor, "plugin.unblocked", name)

        self._database.write(work)
        if guard is not None:
            guard.told = True  # also what nobody else has heard of yet is over
        _log.warning("plugin %s is called again: %s unblocked it", name, actor.principal)
        self.refresh()

    def start_anew(self) -> None:
        """Give those another chance that were switched off: a server starts."""
        try:
            anew = delete(_BLOCK).where(_BLOCK.c.automatic)
            if self._database.write(lambda connection: connection.execute(anew).rowcount):
                _log.warning("plugins that were switched off are called again: the server starts anew")
        except RegistryError as error:
            _log.warning("plugins that were switched off stay so: %s", error.message)

    def refresh(self) -> None:
        """Tell the others what this process switched off, and follow what they decided.

        Raises :class:`~registry.errors.Unavailable`.
        """
        for name, guard in self._calls.guards.items():
            if guard.off and not guard.told:
                self._put(name, guard.off, Actor(_REGISTRY), automatic=True)
                guard.told = True
        blocks = self._read()
        for name, guard in self._calls.guards.items():
            _follow(guard, blocks.get(name))

    def _read(self) -> dict[str, Block]:
        with self._database.read() as connection:
            return {row.plugin: _block(row) for row in connection.execute(_ALL)}

    def _require(self, name: str) -> None:
        if name not in self._names:
            raise PluginUnknown(detail={"plugin": name[:255], "plugins": sorted(self._names)})

    def _put(self, name: str, reason: str, actor: Actor, *, automatic: bool) -> None:
        def work(connection: Connection) -> None:
            now = self._database.now(connection)
            values = {"blocked_ms": now, "actor": actor.principal, "reason": reason, "automatic": automatic}
            insert = self._database.insert(PluginBlock).values(plugin=name, **values)
            if automatic:  # what an operator decided stays
                connection.execute(insert.on_conflict_do_nothing())
            else:
                connection.execute(insert.on_conflict_do_update(index_elements=[_BLOCK.c.plugin], set_=values))
                write(self._database, connection, actor, "plugin.blocked", name, {"reason": reason})

        self._database.write(work)


def _follow(guard: Guard, block: Block | None) -> None:
    off = block.reason if block is not None and block.automatic else ""
    blocked = block.reason if block is not None and not block.automatic else ""
    if (off, blocked) == (guard.off, guard.blocked):
        return
    was = guard.off or guard.blocked
    guard.agree(off=off, blocked=blocked)
    if (now := guard.off or guard.blocked) != was:
        what = f"is not called any more: {now}" if now else "is called again"
        _log.warning("plugin %s %s", guard.plugin, what)


def _block(row: Row[tuple[object, ...]]) -> Block:
    return Block(str(row.reason), str(row.actor), int(row.blocked_ms), bool(row.automatic))
