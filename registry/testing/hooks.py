"""Calling one plugin's hooks directly, with the arguments that it asks for, as the registry does."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points

import pluggy

from registry.hooks import manager, specs

__all__ = ["Implementations", "name_of"]


def name_of(plugin: object) -> str:
    """Return the name that a registry knows a plugin by: of its entry point where it is installed, else its own."""
    name = str(getattr(plugin, "__name__", None) or type(plugin).__name__)
    installed = {point.value: point.name for point in entry_points(group=manager.ENTRY_POINT_GROUP)}
    built_in = {path: path.rpartition(".")[2] for path in manager.DEFAULT_PLUGINS}
    return {**installed, **built_in}.get(name, name)


class Implementations:
    """The hooks that one plugin implements; ``name`` is what a registry knows it by.

    Raises :class:`pluggy.PluginValidationError` for a hook or an argument that the contract does not have.
    """

    def __init__(self, plugin: object) -> None:
        """Take a module or an object whose functions carry :data:`~registry.hooks.hookimpl`."""
        self.name = name_of(plugin)
        plugins = pluggy.PluginManager(manager.PROJECT)
        plugins.add_hookspecs(specs)
        plugins.register(plugin, self.name)
        plugins.check_pending()
        callers = plugins.get_hookcallers(plugin) or []
        self._found = {caller.name: caller.get_hookimpls()[0] for caller in callers}

    @property
    def hooks(self) -> Sequence[str]:
        """The names of the hooks that it implements, sorted."""
        return sorted(self._found)

    def call(self, hook: str, /, **arguments: object) -> object:
        """Return the plugin's answer, None where it does not implement the hook; whatever it raises passes."""
        found = self._found.get(hook)
        return None if found is None else found.function(*[arguments[name] for name in found.argnames])
