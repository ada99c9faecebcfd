"""``moorage plugins``."""

from __future__ import annotations

import importlib
from dataclasses import asdict

import click

from registry.cli.common import config_flag, json_flag, print_json, read_settings
from registry.cli.opening import told
from registry.cli.tables import show
from registry.hooks.manager import PluginStatus, create_plugin_manager

_COMMANDS = {
    "new": ("registry.cli.plugin_new", "Write a plugin: a small, complete package."),
    "check": ("registry.cli.plugin_check", "Tell what is wrong with a plugin, and which line to change."),
}
_EPILOG = """\b
Examples:
  moorage plugins
  MOORAGE_BLOCKED_PLUGINS=schema1 moorage plugins --json
  moorage plugins new recipe --kind format
  moorage plugins check ./moorage-recipe
"""


class Commands(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature click calls
        """Return the names of all commands, in the order of their use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the signature click calls
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the signature click calls
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])


@click.group("plugins", cls=Commands, epilog=_EPILOG, invoke_without_command=True)
@config_flag
@json_flag
@click.pass_context
def command(context: click.Context, *, config: str | None, as_json: bool) -> None:
    """List every plugin that was found, and what became of it; write new ones, and check them.

    A plugin is installed with pip into the environment of Moorage. One that fails to load is skipped, unless the
    setting required_plugins names it; those that blocked_plugins names are not loaded.
    """
    if context.invoked_subcommand is not None:
        return
    settings = read_settings({"config": config})
    with told():
        statuses = create_plugin_manager(blocked=settings.blocked_plugins).statuses
    if as_json:
        print_json([asdict(status) for status in statuses])
        return
    show(("plugin", "state", "from", "version", "hooks, or the reason"), [_row(status) for status in statuses])


def _row(status: PluginStatus) -> tuple[object, ...]:
    origin = status.distribution if status.source == "entry point" else status.source
    return status.name, status.state, origin, status.version, status.reason or ", ".join(status.hooks)
