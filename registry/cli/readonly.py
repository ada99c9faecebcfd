"""``moorage readonly``: no writes for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import print_fields, time_text, with_client

if TYPE_CHECKING:
    from registry.cli.client import Client

_POLL_SECONDS, _LONG_SECONDS = 0.25, 30.0


@click.group("readonly")
def command() -> None:
    """Make the whole registry read-only while it runs, and end that.

    While it is, every change is refused with the reason, in all servers and workers of the registry: pushes,
    deletions, collection, retention, jobs, and what commands do on the data. Pulls, lists and logins go on. Uploads
    that are under way can go on afterwards where they stood.
    """


@command.command(
    "on",
    short_help="Take no writes any more.",
    epilog="\b\nExamples:\n  moorage readonly on --reason 'the database moves' --wait\n"
    "  moorage readonly on --reason 'backup' --server http://127.0.0.1:5000",
)
@with_client
@click.option("--reason", metavar="TEXT", required=True, help="Why; told to everybody who wants to change something.")
@click.option("--wait", is_flag=True, help="Return only once nothing is written any more, by any process.")
@json_flag
def switch_on(client: Client, *, reason: str, wait: bool, as_json: bool) -> None:
    """Refuse every change from now on; all processes follow within two seconds.

    With --wait it returns once they have, and transactions that were under way have ended: from then on nothing but
    this switch is written, so that the database can be copied or moved.
    """
    state = client.send("PUT", "/readonly", {"reason": reason})
    if wait:
        state = _settled(client, state)
    if as_json:
        print_json(state)
    elif state["settled"]:
        click.echo("the registry is read-only, and nothing is written any more; undo: moorage readonly off")
    else:
        click.echo("the registry is read-only, in all its processes within two seconds; undo: moorage readonly off")


@command.command("off", short_help="Take writes again.", epilog="\b\nExample:\n  moorage readonly off")
@with_client
@json_flag
def switch_off(client: Client, *, as_json: bool) -> None:
    """Take writes again; all processes follow within two seconds."""
    state = client.send("DELETE", "/readonly")
    if as_json:
        print_json(state)
    else:
        click.echo("the registry takes writes, in all its processes within two seconds")


@command.command(
    "status",
    short_help="Tell whether the registry is read-only.",
    epilog="\b\nExample:\n  moorage readonly status --json",
)
@with_client
@json_flag
def status(client: Client, *, as_json: bool) -> None:
    """Tell whether the registry is read-only, why, since when, and whether nothing is written any more."""
    state = client.get("/readonly")
    if as_json:
        print_json(state)
    elif state["on"]:
        print_fields({**state, "since": time_text(state["since"])}, as_json=False)
    else:
        click.echo("the registry takes writes")


def _settled(client: Client, state: dict[str, Any]) -> dict[str, Any]:
    """Ask until nothing is written any more; raises an error where somebody switched it off meanwhile."""
    told_at = time.monotonic() + _LONG_SECONDS
    while not state["settled"]:
        time.sleep(_POLL_SECONDS)
        state = client.get("/readonly")
        if not state["on"]:
            raise click.ClickException(f"{state['by']} switched it off meanwhile: the registry takes writes")
        if time.monotonic() > told_at:
            click.echo("a transaction is still under way that writes: waiting for its end (Ctrl-C ends that)", err=True)
            told_at = float("inf")
    return state
