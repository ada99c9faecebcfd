"""Finding plugins as settings say, and reading what is set for them."""

from __future__ import annotations

from collections.abc import Sequence

from registry.hooks.configuration import Configured, Given, configure
from registry.hooks.manager import Plugins, create_plugin_manager
from registry.settings import Settings


def find_plugins(settings: Settings, plugins: Sequence[object] = ()) -> Plugins:
    """Return what became of every plugin, whatever is required; ``plugins`` are added to those installed."""
    return create_plugin_manager(plugins, blocked=settings.blocked_plugins, safe_mode=settings.safe_mode)


def start_plugins(settings: Settings, plugins: Sequence[object] = ()) -> Plugins:
    """Return what became of every plugin.

    Raises :class:`~registry.hooks.manager.PluginError` where one that is required is not active.
    """
    return create_plugin_manager(
        plugins,
        blocked=settings.blocked_plugins,
        required=settings.required_plugins,
        safe_mode=settings.safe_mode,
    )


def settings_of_plugins(found: Plugins, settings: Settings) -> Configured:
    """Return the settings of plugins; raises :class:`~registry.hooks.configuration.PluginSettingsRefused`."""
    return configure(found, Given(settings.plugins, settings.plugin_variables, settings.sources))
