"""Calling plugins, each implementation on its own: what one of them does wrong is told by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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

    def call(self, plugin: str, hook: str, read: Callable[[Any], Any] | None = None, /, **arguments: object) -> Any:  # noqa: ANN401 - what read makes of it
        """Return what ``read`` makes of one plugin's answer; None where it is that, or the hook is not implemented.

        Raises :class:`PluginBroke`; what a plugin refuses on purpose (:class:`~registry.errors.RegistryError`), and
        a failing store (:class:`StorageError`), pass.
        """
        one = self._found[hook].get(plugin)
        if one is None:
            return None

        def work() -> object:
            answer: object = one.function(*[arguments[name] for name in one.argnames])
            return answer if answer is None or read is None else read(answer)

        return self.run(plugin, hook, work)

    def run(
        self,
        plugin: str,
        hook: str,
        function: Callable[..., object],
        /,
        *given: object,
        passes: tuple[type[BaseException], ...] = (),
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        """Call a function that a plugin handed over through ``hook``; errors of ``passes`` pass, too."""
        passing: tuple[type[BaseException], ...] = (RegistryError, StorageError, *passes)
        try:
            return function(*given)
        except passing:
            raise
        except (Exception, SystemExit) as error:
            raise PluginBroke(plugin, hook, f"{type(error).__name__}: {error}") from error
