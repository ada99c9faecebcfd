"""Calling plugins, each implementation on its own: what one of them does wrong is told by its name."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from registry.errors import RegistryError
from registry.hooks.ports import StorageError


class PluginBroke(Exception):
    """An implementation failed: it raised what its hook does not allow, or returned what is none of its answers."""

    def __init__(self, plugin: str, hook: str, reason: str) -> None:
        """Name the plugin, the hook, and what happened."""
        self.plugin, self.hook, self.reason = plugin, hook, reason
        super().__init__(f"plugin {plugin} failed in {hook}: {reason}")


class Calls:
    """The implementations of every hook, by plugin."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        """Take what is registered now."""
        self._found: dict[str, dict[str, pluggy.HookImpl]] = {
            hook: {one.plugin_name: one for one in getattr(manager.hook, hook).get_hookimpls()}
            for hook in vars(manager.hook)
            if not hook.startswith("_")
        }

    def plugins(self, hook: str) -> Sequence[str]:
        """Return the plugins that implement ``hook``, in the order of their registration."""
        return list(self._found[hook])

    def call(self, plugin: str, hook: str, /, **arguments: object) -> object:
        """Return one plugin's answer, None where it does not implement the hook.

        Raises :class:`PluginBroke`; what a plugin refuses on purpose (:class:`~registry.errors.RegistryError`), and
        a failing store (:class:`StorageError`), pass.
        """
        implementation = self._found[hook].get(plugin)
        if implementation is None:
            return None
        try:
            return implementation.function(*[arguments[name] for name in implementation.argnames])
        except (RegistryError, StorageError):
            raise
        except (Exception, SystemExit) as error:
            raise PluginBroke(plugin, hook, f"{type(error).__name__}: {error}") from error
