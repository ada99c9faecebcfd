"""``moorage plugins``."""

from __future__ import annotations

from dataclasses import asdict

import click

from registry.cli.common import config_flag, json_flag, print_json, read_settings
from registry.cli.opening import told
from registry.cli.tables import show
from registry.hooks.manager import PluginStatus, create_plugin_manager

_EPILOG = """\b
Examples:
  moorage plugins
  MOORAGE_BLOCKED_PLUGINS=schema1 moorage plugins --json
"""


@click.command("plugins", epilog=_EPILOG)
@config_flag
@json_flag
def command(*, config: str | None, as_json: bool) -> None:
    """List every plugin that was found, and what became of it.

    A plugin is installed with pip into the environment of Moorage. One that fails to load is skipped, unless the
    setting required_plugins names it; those that blocked_plugins names are not loaded.
    """
    settings = read_settings({"config": config})
    with told():
        statuses = create_plugin_manager(blocked=settings.blocked_plugins, safe_mode=settings.safe_mode).statuses
    if as_json:
        print_json([asdict(status) for status in statuses])
        return
    show(("plugin", "state", "from", "version", "hooks, or the reason"), [_row(status) for status in statuses])


def _row(status: PluginStatus) -> tuple[object, ...]:
    origin = status.distribution if status.source == "entry point" else status.source
    return status.name, status.state, origin, status.version, status.reason or ", ".join(status.hooks)
