"""What of the plugin API is deprecated: it works until the version that removes it, and whoever uses it is told."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import pluggy

from registry import hooks as public

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deprecation:
    """A hook (``name``), an argument of a hook (``hook.argument``) or a public name that will go.

    ``since`` and ``removed_in`` are versions of the plugin API; ``replacement`` says what to write instead.
    """

    name: str
    since: str
    replacement: str
    removed_in: str

    def __str__(self) -> str:
        """Tell it in a line."""
        return (
            f"{self.name} is deprecated since plugin API {self.since}, and {self.removed_in} removes it: "
            f"{self.replacement}"
        )


DEPRECATIONS: tuple[Deprecation, ...] = ()
"""All that is deprecated; an entry stays until its version has come."""


def warn_of_deprecated(manager: pluggy.PluginManager, plugin: object) -> tuple[str, ...]:
    """Return what a registered plugin uses of :data:`DEPRECATIONS`, and warn of it in the log and as Python does."""
    used = set(_used(manager, plugin))
    told = tuple(str(one) for one in DEPRECATIONS if one.name in used)
    for text in told:
        _log.warning("plugin %s: %s", manager.get_name(plugin), text)
        warnings.warn(f"plugin {manager.get_name(plugin)}: {text}", DeprecationWarning, stacklevel=2)
    return told


def _used(manager: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    """Yield the hooks and arguments that a plugin implements, and the public names that its module holds."""
    for caller in manager.get_hookcallers(plugin) or ():
        yield caller.name
        for one in caller.get_hookimpls():
            if one.plugin is plugin:
                yield from (f"{caller.name}.{argument}" for argument in one.argnames)
    held = {id(value) for value in vars(plugin).values()} if hasattr(plugin, "__dict__") else set()
    yield from (name for name in public.__all__ if id(getattr(public, name)) in held)
