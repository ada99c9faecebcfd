"""Calling one plugin's hooks directly, with the arguments that it asks for, as the registry does."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from registry.hooks import specs
from registry.hooks.manager import PROJECT

__all__ = ["Implementations"]


class Implementations:
    """The hooks that one plugin implements.

    Raises :class:`pluggy.PluginValidationError` for a hook or an argument that the contract does not have.
    """

    def __init__(self, plugin: object) -> None:
        """Take a module or an object whose functions carry :data:`~registry.hooks.hookimpl`."""
        self.name = str(getattr(plugin, "__name__", None) or type(plugin).__name__).rpartition(".")[2]
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(specs)
        manager.register(plugin, self.name)
        manager.check_pending()
        callers = manager.get_hookcallers(plugin) or []
        self._found = {caller.name: caller.get_hookimpls()[0] for caller in callers}

    @property
    def hooks(self) -> Sequence[str]:
        """The names of the hooks that it implements, sorted."""
        return sorted(self._found)

    def call(self, hook: str, /, **arguments: object) -> object:
        """Return the plugin's answer, None where it does not implement the hook; whatever it raises passes."""
        found = self._found.get(hook)
        return None if found is None else found.function(*[arguments[name] for name in found.argnames])
