"""``moorage plugins``: what is installed, what became of it, and what it does; writing and checking them."""

from __future__ import annotations

import click

from registry.cli.plugins import blocking, checking, creating, listing, showing

_EPILOG = """\b
Examples:
  moorage plugins
  moorage plugins show expiry
  MOORAGE_BLOCKED_PLUGINS=schema1 moorage plugins --json
  moorage plugins new recipe --kind format
  moorage plugins check ./moorage-recipe
"""


@click.group("plugins", epilog=_EPILOG, invoke_without_command=True)
@listing.flags
@click.pass_context
def command(context: click.Context, *, config: str | None, as_json: bool) -> None:
    """Look at plugins, and what became of each; without a subcommand, list them.

    A plugin is installed with pip into the environment of Moorage. One that fails to load is skipped, unless the
    setting required_plugins names it; those that blocked_plugins names are not loaded.
    """
    if context.invoked_subcommand is None:
        listing.print_plugins(config, as_json=as_json)


command.add_command(listing.command)
command.add_command(showing.command)
command.add_command(blocking.block)
command.add_command(blocking.unblock)
command.add_command(blocking.health)
command.add_command(creating.command)
command.add_command(checking.command)
