"""The commands that plugins add to ``moorage``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import click

from registry.cli.names import BUILT_IN
from registry.hooks.calls import Calls
from registry.hooks.collecting import answers, claim
from registry.hooks.context import PluginContext

_HOOK = "cli_commands"
OURS = "moorage"
OpenContext = Callable[[str], Callable[[], PluginContext]]
"""Gives the function that opens a plugin's context, by its name."""


def commands_of(calls: Calls, open_context: OpenContext) -> Mapping[str, tuple[str, click.Command]]:
    """Return the plugin and the command by each command's name.

    Raises :class:`~registry.hooks.manager.PluginError` where two of them, or one and our own, share a name.
    """
    claims = {_named(name): OURS for name in BUILT_IN}
    found: dict[str, tuple[str, click.Command]] = {}
    for plugin, commands in answers(calls, _HOOK, _read, lambda name: {"open_context": open_context(name)}):
        for command in commands:
            name = command.name or ""
            claim(claims, _named(name), plugin)
            found[name] = (plugin, command)
    return found


def refuse_shared_commands(calls: Calls) -> None:
    """Raise :class:`~registry.hooks.manager.PluginError` where two plugins, or one and we, have one command."""
    commands_of(calls, lambda _: _closed)


def _named(name: str) -> str:
    return f"the command moorage {name}"


def _closed() -> PluginContext:
    raise RuntimeError("open_context is called when a command runs")


def _read(answer: Iterable[object]) -> Sequence[click.Command]:
    commands: dict[str, click.Command] = {}
    for command in answer:
        if not isinstance(command, click.Command) or not command.name:
            raise TypeError(f"cli_commands returns a list of named click commands, not of {type(command).__name__}")
        if command.name in commands:
            raise ValueError(f"two commands are called {command.name}")
        commands[command.name] = command
    return list(commands.values())
