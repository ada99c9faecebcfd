"""Looks after the plugins of one process, from a thread of its own: the calls themselves pay nothing for it."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from registry.db.gate import Gate
from registry.errors import RegistryError
from registry.hooks import crumbs
from registry.hooks.calls import Calls
from registry.hooks.crumbs import Death
from registry.isolation.blocks import BlockService
from registry.isolation.health import HealthService
from registry.isolation.suspects import DEATHS, alike, suspects

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.25
_FOLLOW_SECONDS = 1.0
_FLUSH_SECONDS = 5.0


class Caretaker:
    """Sees slow calls, left threads and dead neighbours, follows blocks and the switch, and keeps how plugins did."""

    def __init__(self, calls: Calls, blocks: BlockService, health: HealthService, gate: Gate, data: Path) -> None:
        """Look after ``calls``; processes on the same ``data`` folder are neighbours."""
        self._calls = calls
        self._gate = gate
        self._blocks = blocks
        self._health = health
        self._folder = crumbs.folder_of(data)
        self._crumbs: crumbs.Crumbs | None = None
        self.told: Sequence[Death] = ()
        """Deaths of which the start of this process told."""

    def start(self) -> None:
        """Look after this process from now on; what a parent counted is the parent's."""
        self._health.start()
        try:
            names = [(tally.plugin, tally.hook) for tally in self._calls.tallies]
            self._crumbs = crumbs.Crumbs(self._folder, names)
            self._calls.shared.crumbs = self._crumbs.slots
        except OSError as error:
            _log.warning("who dies in a plugin will not be known: no breadcrumbs in %s: %s", self._folder, error)
        self.follow()
        threading.Thread(target=_keep_looking, args=(weakref.ref(self),), name="plugins", daemon=True).start()

    def stop(self) -> None:
        """Keep what was counted, and take the breadcrumbs away: this process ends as it should."""
        self._health.flush()
        if self._crumbs is not None:
            self._crumbs.forget()
            self._crumbs = None

    def look(self) -> None:
        """Find what is slow or was left by plugins."""
        self._calls.look_after()

    def follow(self) -> None:
        """Follow whether the registry is read-only, tell of neighbours that died, and follow what plugins may do."""
        for follow in (self._gate.look, self._bury, self._blocks.refresh):
            try:
                follow()
            except RegistryError as error:
                _log.debug("what was decided is not known now: %s", error.message)

    def flush(self) -> None:
        """Keep how plugins did."""
        self._health.flush()

    def count_told(self) -> None:
        """Count the deaths of which the start told, once there is a database to count in."""
        deaths, self.told = self.told, ()
        recent = crumbs.recent(self._folder)
        for death in deaths:
            blamed = suspects(death, recent)
            for plugin, hook in death.seen_in:
                if blamed == {plugin}:
                    self._health.count_death(plugin, hook, f"the process {death.pid} died")

    def _bury(self) -> None:
        for death in crumbs.bury(self._folder):
            recent = crumbs.recent(self._folder)
            blamed, died = suspects(death, recent), alike(death, recent)
            places = [(plugin, hook) for plugin, hook in death.seen_in if plugin in blamed]
            if len(blamed) > 1:
                named = " or ".join(f"{plugin}.{hook}" for plugin, hook in places)
                _log.error("process %d died while in %s: which of them it was is not known", death.pid, named)
            for plugin, hook in places:
                if died >= DEATHS and plugin in self._calls.guards:
                    others = "".join(f" or in {other}" for other in sorted(blamed - {plugin}))
                    self._calls.guards[plugin].switch_off(
                        f"{died} processes died in it{others}, the last one in {hook}"
                    )
                if len(blamed) == 1:
                    _log.error("process %d died while plugin %s was in %s", death.pid, plugin, hook)
                    self._health.count_death(plugin, hook, f"the process {death.pid} died")


def _keep_looking(owner: weakref.ref[Caretaker]) -> None:
    started = time.monotonic()
    next_follow, next_flush = started + _FOLLOW_SECONDS, started + _FLUSH_SECONDS
    while True:
        time.sleep(_LOOK_SECONDS)
        caretaker, now = owner(), time.monotonic()
        if caretaker is None:
            return
        try:
            caretaker.look()
            if now >= next_follow:
                caretaker.follow()
                next_follow = now + _FOLLOW_SECONDS
            if now >= next_flush:
                caretaker.flush()
                next_flush = now + _FLUSH_SECONDS
        except Exception:  # noqa: BLE001 - the next look may go better, and nobody else looks
            _log.exception("plugins could not be looked after")
        del caretaker
