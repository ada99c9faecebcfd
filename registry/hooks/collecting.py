"""Collecting what plugins add at the start: what one of them does wrong costs its own additions and no others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from registry.errors import RegistryError
from registry.hooks.calls import Calls, PluginBroke
from registry.hooks.context import PluginContext
from registry.hooks.manager import PluginError
from registry.hooks.ports import StorageError

T = TypeVar("T")
Contexts = Callable[[str], PluginContext]
"""Gives a plugin its context, by its name."""
_log = logging.getLogger(__name__)


def answers(
    calls: Calls, hook: str, read: Callable[[Any], T], arguments: Callable[[str], Mapping[str, object]]
) -> Iterator[tuple[str, T]]:
    """Yield each plugin and what ``read`` makes of its answer; ``arguments`` gives those of its call.

    One that fails, or whose answer ``read`` refuses, is logged by its name and left out.
    """
    for plugin in calls.plugins(hook):
        try:
            answer = calls.call(plugin, hook, read, **arguments(plugin))
        except (PluginBroke, RegistryError, StorageError) as error:
            _log.error("what plugin %s adds by %s is left out: %s", plugin, hook, error)
            continue
        if answer is not None:
            yield plugin, answer


def claim(claims: dict[str, str], what: str, plugin: str) -> None:
    """Note that ``plugin`` claims ``what``; raises :class:`PluginError` with both names where another one does."""
    other = claims.setdefault(what, plugin)
    if other != plugin:
        raise PluginError(f"{what} is claimed by two plugins: {other} and {plugin}")
