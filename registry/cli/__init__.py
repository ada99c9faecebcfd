"""The command ``moorage``. Each subcommand is a module of its own, and loads what it runs when it runs."""

from __future__ import annotations

import importlib

import click

# What each command does stands here too, so that --help imports none of them.
_COMMANDS = {
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
    "events": "Look at what happened, follow it, tell it again, and look after what nobody took.",
    "job": "Look at jobs, run them now, and stop them.",
    "config": "Show and check the settings.",
    "db": "Look after the database's schema.",
    "plugins": "List every plugin that was found, and what became of it.",
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
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature click calls
        """Return the names of all commands, in the order of their use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the signature click calls
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"registry.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the signature click calls
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="moorage", message="moorage %(version)s")
def main() -> None:
    """Moorage, a container registry that is extended with pip install.

    Every setting can be given as a MOORAGE_* variable or in moorage.toml; `moorage config show` lists them.
    """
