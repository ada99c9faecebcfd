"""The command ``moorage``. Each subcommand is a module of its own, and loads what it runs when it runs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

# What each command does stands here too, so that --help imports none of them.
BUILT_IN = {
    "serve": "Run the registry until it is told to stop.",
    "worker": "Run jobs: collection, retention and the like.",
    "repo": "Look at repositories, make, change, rename, delete and restore them.",
    "tag": "Look at tags and their history, restore, move, expire, protect and delete them.",
    "manifest": "Look at manifests, delete and restore them.",
    "blob": "Tell where a blob is, and what names it.",
    "label": "Look at the labels of manifests, add some, and remove them.",
    "rule": "Look at house rules, make, change, try and remove them.",
    "retention": "Remove what rules of retention do not keep, and tell before what that is.",
    "gc": "Free what nothing keeps, and tell why the rest is kept.",
    "purge": "Remove a digest from every repository at once, for good.",
    "fsck": "Check what is stored, and mend what can be mended.",
    "job": "Look at jobs, run them now, and stop them.",
    "config": "Show and check the settings.",
    "db": "Look after the database's schema.",
    "plugins": "Look at plugins, and what became of each.",
    "version": "Print the version.",
}
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
Shell completion, in your shell's start file:
  bash  eval "$(_MOORAGE_COMPLETE=bash_source moorage)"
  zsh   eval "$(_MOORAGE_COMPLETE=zsh_source moorage)"
  fish  _MOORAGE_COMPLETE=fish_source moorage | source
"""


class Commands(click.Group):
    """A group whose commands are imported when they are asked for; those of plugins come last.

    Plugins are loaded only for a name that is none of ours, and where all commands are listed: what one of them does
    wrong touches none of our own.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature click calls
        """Return the names of all commands, in the order of their use."""
        return [*BUILT_IN, *_listed()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the signature click calls
        """Import a command."""
        if cmd_name in BUILT_IN:
            command: click.Command = importlib.import_module(f"registry.cli.{cmd_name}").command
            return command
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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the signature click calls
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(BUILT_IN.items()))
        if added := _listed():
            with formatter.section("Commands of plugins"):
                formatter.write_dl(list(added.items()))


def _listed() -> Mapping[str, str]:
    """Return what the commands of plugins are about, by name."""
    from registry.cli import extensions  # noqa: PLC0415 - only who lists commands waits for the plugins

    return extensions.listed()


@click.group(cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="moorage", message="moorage %(version)s")
def main() -> None:
    """Moorage, a container registry that is extended with pip install.

    Every setting can be given as a MOORAGE_* variable or in moorage.toml; `moorage config show` lists them.
    """
