"""``moorage key``: API keys of users and robots."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import below, confirm, print_items, time_text, with_client, yes_flag
from registry.cli.times import LENGTH

if TYPE_CHECKING:
    from registry.cli.client import Client

_COLUMNS = {
    "key": "prefix",
    "name": "name",
    "scopes": "scopes",
    "created": "created",
    "expires": "expires",
    "last used": "last_used",
}


@click.group("key")
def command() -> None:
    """Make API keys of users and robots, rotate and delete them.

    A key is shown once, when it is made. It stands where a password would: `docker login -u NAME`, and the key. It is
    known by its PREFIX, the part between its underscores. Keys make no keys: that takes the password, or an
    administrator.
    """


@command.command(
    "add",
    short_help="Make a key.",
    epilog="\b\nExamples:\n  moorage key add team+ci builds --expires 90d\n"
    "  moorage key add alice laptop --scope pull --scope push:team/*\n"
    "  moorage key add team+ci builds | docker login registry.example -u team+ci --password-stdin",
)
@with_client
@click.argument("principal")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    metavar="ROLE[:PATTERN]",
    multiple=True,
    help="Narrow it: pull, push, maintain or admin, everywhere or on repositories of a pattern.",
)
@click.option("--expires", metavar="DURATION", type=LENGTH, help="End it after this time, such as 90d.")
@json_flag
def add(
    client: Client, principal: str, name: str, *, scopes: tuple[str, ...], expires: timedelta | None, as_json: bool
) -> None:
    """Make a key of a user or robot, called NAME; the key alone goes to standard output."""
    seconds = None if expires is None else _seconds(expires)
    wanted = {"name": name, "scopes": list(scopes), "expires_in_seconds": seconds}
    _told(client.send("POST", below("/principals", principal, "keys"), wanted), as_json=as_json)


@command.command("list", short_help="List keys.", epilog="\b\nExample:\n  moorage key list team+ci")
@with_client
@click.argument("principal")
@json_flag
def list_keys(client: Client, principal: str, *, as_json: bool) -> None:
    """List the keys of a user or robot, oldest first."""
    print_items(list(client.items(below("/principals", principal, "keys"))), _COLUMNS, as_json=as_json)


@command.command(
    "rotate",
    short_help="Replace a key.",
    epilog="\b\nExample:\n  moorage key rotate team+ci q3Zk81xPw0 --overlap 1d",
)
@with_client
@click.argument("principal")
@click.argument("prefix")
@click.option(
    "--overlap", metavar="DURATION", type=LENGTH, default="1h", show_default=True, help="End the old one after this."
)
@json_flag
def rotate(client: Client, principal: str, prefix: str, *, overlap: timedelta, as_json: bool) -> None:
    """Make a key like another one, which goes on for a while; the new one lives as long as that was to."""
    path = below("/principals", principal, "keys", prefix, "rotate")
    made = client.send("POST", path, {"overlap_seconds": _seconds(overlap)})
    _told(made, as_json=as_json)


@command.command(
    "delete", short_help="End a key.", epilog="\b\nExample:\n  moorage key delete team+ci q3Zk81xPw0 --yes"
)
@with_client
@click.argument("principal")
@click.argument("prefix")
@yes_flag
def delete(client: Client, principal: str, prefix: str, *, yes: bool) -> None:
    """End a key at once, with the tokens that were got with it."""
    confirm(f"End the key {prefix} of {principal}?", yes=yes)
    client.send("DELETE", below("/principals", principal, "keys", prefix))
    click.echo(f"ended {prefix}")


def _told(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    key = made["key"]
    until = f" until {time_text(key['expires'])}" if key["expires"] else ""
    scopes = f", for {', '.join(key['scopes'])}" if key["scopes"] else ""
    click.echo(f"key {key['prefix']} of {key['principal']} is good{until}{scopes}; it is shown this once:", err=True)
    click.echo(made["text"])


def _seconds(length: timedelta) -> int:
    return length // timedelta(seconds=1)
