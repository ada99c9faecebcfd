"""Observers: who hears of events, and under which names it is remembered how far each has heard."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from registry.errors import RegistryError
from registry.hooks.calls import Calls, PluginBroke, WrongAnswer
from registry.hooks.context import PluginContext
from registry.hooks.events import Event
from registry.hooks.ports import StorageError

NOT_YET = (PluginBroke, RegistryError, StorageError)
"""What an observer that cannot take an event now ends with."""
Contexts: TypeAlias = Callable[[str], PluginContext]
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_log = logging.getLogger(__name__)


class Observers:
    """The plugins that hear of events.

    One that names several consumers hears every event once for each, and each goes on by itself.
    """

    def __init__(self, calls: Calls, contexts: Contexts) -> None:
        """Call plugins by ``calls``, with what ``contexts`` gives for a plugin's name."""
        self._calls = calls
        self._contexts = contexts

    def names(self) -> Mapping[str, Sequence[str] | None]:
        """Return the consumers by plugin: its own name, or that with a part; None where it cannot tell now."""
        dividing = set(self._calls.plugins("event_consumers"))
        return {
            plugin: self._parts(plugin) if plugin in dividing else [plugin]
            for plugin in self._calls.plugins("event_happened")
        }

    def hears(self, consumer: str) -> bool:
        """Tell whether a consumer's plugin is called now; else its events wait."""
        plugin = consumer.partition("/")[0]
        return plugin in self._calls.plugins("event_happened") and not self._calls.guards[plugin].off

    def tell(self, consumer: str, event: Event) -> None:
        """Tell a consumer of an event; raises one of :data:`NOT_YET`."""
        plugin, _, part = consumer.partition("/")
        self._calls.call(plugin, "event_happened", event=event, consumer=part, context=self._contexts(plugin))

    def _parts(self, plugin: str) -> Sequence[str] | None:
        try:
            parts = self._calls.call(plugin, "event_consumers", _read, context=self._contexts(plugin)) or ()
            return [f"{plugin}/{part}" for part in parts]
        except NOT_YET as error:
            _log.warning("the consumers of plugin %s stay as they are: %s", plugin, error)
            return None


def _read(answer: object) -> Sequence[str]:
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        raise WrongAnswer(f"names are expected, not {type(answer).__name__}")
    parts = list(answer)
    for part in parts:
        if not isinstance(part, str) or _PART.fullmatch(part) is None:
            raise WrongAnswer(f"{part!r} is no name: 128 of A-Z, a-z, 0-9, . _ -")
    return list(dict.fromkeys(parts))
