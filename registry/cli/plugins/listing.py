"""``moorage plugins list``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click

from registry.cli.common import config_flag, json_flag, print_json, read_settings
from registry.cli.opening import told
from registry.cli.tables import show
from registry.hooks.manager import PluginStatus
from registry.plugin_loading import find_plugins

F = TypeVar("F", bound=Callable[..., Any])


def flags(function: F) -> F:
    """Give a command the flags of this list."""
    return config_flag(json_flag(function))


@click.command(
    "list",
    short_help="List every plugin that was found, and what became of it.",
    epilog="\b\nExamples:\n  moorage plugins list\n  moorage plugins list --json",
)
@flags
def command(*, config: str | None, as_json: bool) -> None:
    """List every plugin that was found, what became of it, and the version of the plugin API that it needs."""
    print_plugins(config, as_json=as_json)


def print_plugins(config: str | None, *, as_json: bool) -> None:
    """Print the list."""
    settings = read_settings({"config": config})
    with told():
        statuses = find_plugins(settings).statuses
    if as_json:
        print_json([asdict(status) for status in statuses])
        return
    columns = ("plugin", "state", "from", "version", "API", "hooks, or the reason")
    show(columns, [_row(status) for status in statuses])


def _row(status: PluginStatus) -> tuple[object, ...]:
    origin = status.distribution if status.source == "entry point" else status.source
    told = status.reason or ", ".join(status.hooks)
    return status.name, status.state, origin, status.version, status.api, told
