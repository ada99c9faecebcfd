"""``moorage plugins block``, ``unblock`` and ``health``: plugins while the registry runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import json_flag
from registry.cli.connecting import print_items, with_client

if TYPE_CHECKING:
    from registry.cli.client import Client

_HEALTH_COLUMNS = {
    "plugin": "plugin",
    "hook": "hook",
    "calls": "calls",
    "failures": "failures",
    "seconds": "seconds",
    "failed last": "last_failed",
    "with": "last_error",
}


@click.command(
    "block",
    short_help="Have nobody call a plugin any more.",
    epilog="\b\nExample:\n  moorage plugins block signed --reason 'its keys are being replaced'",
)
@with_client
@click.argument("name")
@click.option("--reason", metavar="TEXT", required=True, help="Why; told where the plugin is missed.")
def block(client: Client, name: str, *, reason: str) -> None:
    """Have no process of the registry call a plugin any more, within seconds and without a restart.

    It counts as not installed: its media types are refused by its name and stay pullable, its labels do nothing, what
    it would admit or refuse is not decided, and events wait for it.
    """
    client.send("PUT", f"/plugins/{name}/block", {"reason": reason})
    click.echo(f"plugin {name} is blocked; it decides about nothing until `moorage plugins unblock {name}`")


@click.command(
    "unblock", short_help="Have a plugin called again.", epilog="\b\nExample:\n  moorage plugins unblock signed"
)
@with_client
@click.argument("name")
def unblock(client: Client, name: str) -> None:
    """Have a plugin called again that was blocked, or that the registry switched off as it failed too badly."""
    client.send("DELETE", f"/plugins/{name}/block")
    click.echo(f"plugin {name} is called again")


@click.command("health", short_help="Tell how plugins do.", epilog="\b\nExample:\n  moorage plugins health --failing")
@with_client
@click.option("--failing", is_flag=True, help="Only hooks that failed.")
@json_flag
def health(client: Client, *, failing: bool, as_json: bool) -> None:
    """Tell how often each plugin's hooks were called and failed, and how long they took, in all processes together."""
    found = [one for one in figures(client) if one["failures"] or not failing]
    print_items(found, _HEALTH_COLUMNS, as_json=as_json)


def figures(client: Client) -> list[dict[str, Any]]:
    """Return how every hook of every plugin did, the plugin's name with each."""
    return [{"plugin": plugin["name"], **one} for plugin in client.get("/plugins")["items"] for one in plugin["health"]]
