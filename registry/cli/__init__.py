"""The command ``moorage``. Each subcommand is a module of its own, and loads what it runs when it runs."""

from __future__ import annotations

import atexit
import gc as garbage  # there is a command gc
import importlib
from collections.abc import Mapping

import click

from registry.cli.names import BUILT_IN

_EPILOG = """\b
Examples:
  moorage serve --data ./data
  moorage tag list team/app --data ./data
  moorage tag list team/app --server http://127.0.0.1:5000

\b
Undo:
  moorage tag restore        a tag that was moved, deleted or has ended
  moorage manifest restore   a deleted manifest, with its tags
  moorage repo restore       all tags of a repository, as they were at a time
  moorage repo undelete      a deleted repository

\b
Credentials for --server, from the environment, or else of a login:
  MOORAGE_USER and MOORAGE_PASSWORD, or MOORAGE_API_KEY
  moorage login --server https://registry.example

\b
Shell completion, in your shell's start file:
  bash  eval "$(_MOORAGE_COMPLETE=bash_source moorage)"
  zsh   eval "$(_MOORAGE_COMPLETE=zsh_source moorage)"
  fish  _MOORAGE_COMPLETE=fish_source moorage | source
"""


_FOUND = "registry.cli.found"
# A process gives back all its memory at its end; looking for garbage first would take a third of a second.
atexit.register(garbage.freeze)


class Commands(click.Group):
    """A group whose commands are imported when they are asked for; those of plugins come last.

    Plugins are loaded only for a name that is none of ours, and where all commands are listed: what one of them does
    wrong touches none of our own.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of their use."""
        return [*BUILT_IN, *_of_plugins(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name in BUILT_IN:
            garbage.disable()  # what is imported stays: looking through it for garbage takes a sixth of the start
            try:
                command: click.Command = importlib.import_module(f"registry.cli.{cmd_name}").command
            finally:
                garbage.freeze()
                garbage.enable()
            return command
        if _FOUND in ctx.meta or ctx.resilient_parsing:  # listed before, or completed
            return _of_plugins(ctx).get(cmd_name)
        from registry.cli import extensions  # noqa: PLC0415 - only who runs a command of plugins waits for them

        _, found = extensions.load().get(cmd_name, ("", None))
        return found

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what one of plugins does not handle becomes one message."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.invoked_subcommand is None or ctx.invoked_subcommand in BUILT_IN:
                raise
            from registry.cli import extensions  # noqa: PLC0415 - as above

            raise extensions.failure(ctx.invoked_subcommand, error) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(BUILT_IN.items()))
        if added := _of_plugins(ctx):
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, command.get_short_help_str(80)) for name, command in added.items()])


def _of_plugins(context: click.Context) -> Mapping[str, click.Command]:
    """Return the commands of plugins, as far as they can be had, by name; they are looked for once."""
    if _FOUND not in context.meta:
        from registry.cli import extensions  # noqa: PLC0415 - only who lists commands waits for the plugins

        found = extensions.load_what_can_be()
        context.meta[_FOUND] = {name: command for name, (_, command) in found.items()}
    known: Mapping[str, click.Command] = context.meta[_FOUND]
    return known


@click.group(cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="moorage", message="moorage %(version)s")
def main() -> None:
    """Moorage, a container registry that is extended with pip install.

    Every setting can be given as a MOORAGE_* variable or in moorage.toml; `moorage config show` lists them.
    """
