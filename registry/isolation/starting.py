"""The start of a process that serves: who ends it while it is asked what it adds is told by the next start.

Nobody comes after a server that never started, so its breadcrumbs are read by whoever starts it again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from registry.hooks import crumbs
from registry.hooks.calls import Calls
from registry.hooks.crumbs import Crumbs, Death
from registry.isolation.suspects import DEATHS, alike, suspects

_log = logging.getLogger(__name__)


class Starting:
    """Leaves breadcrumbs while plugins are asked what they add."""

    def __init__(self, data: Path) -> None:
        """Leave them where processes on the same ``data`` folder do."""
        self._folder = crumbs.folder_of(data)
        self._mine: Crumbs | None = None
        self._calls: Calls | None = None
        self.deaths: Sequence[Death] = ()
        """Of processes before this one that nobody had told of yet."""

    def begin(self, calls: Calls) -> None:
        """Tell of who died before, do not ask who did so several times, and leave breadcrumbs from now on."""
        self._calls = calls
        self.deaths = crumbs.bury(self._folder)
        for death in self.deaths:
            self._tell(calls, death)
        try:
            self._mine = Crumbs(self._folder, [(tally.plugin, tally.hook) for tally in calls.tallies])
            calls.shared.crumbs = self._mine.slots
        except OSError as error:
            _log.warning("who ends this start will not be known: no breadcrumbs in %s: %s", self._folder, error)

    def end(self) -> None:
        """Take the breadcrumbs away: the start is over, one way or the other."""
        if self._mine is not None and self._calls is not None:
            self._calls.shared.leave_none()
            self._mine.forget()

    def _tell(self, calls: Calls, death: Death) -> None:
        recent = crumbs.recent(self._folder)
        blamed, died = suspects(death, recent), alike(death, recent)
        for plugin, hook in death.seen_in:
            if plugin not in blamed:
                continue
            _log.error("process %d died while plugin %s was in %s", death.pid, plugin, hook)
            if died >= DEATHS and plugin in calls.guards:
                calls.guards[plugin].switch_off(f"{died} processes died in it, the last one in {hook}", final=True)
