"""``moorage token``: the keys behind the tokens that clients get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import with_client

if TYPE_CHECKING:
    from registry.cli.client import Client


@click.group("token")
def command() -> None:
    """Look after the keys that sign tokens.

    Clients get tokens for minutes by themselves. What users and programs keep are passwords and API keys: `moorage
    user`, `moorage key`.
    """


@command.command("rotate-key", short_help="Sign with a new key.", epilog="\b\nExample:\n  moorage token rotate-key")
@with_client
@json_flag
def rotate_key(client: Client, *, as_json: bool) -> None:
    """Sign tokens with a new key from now on; those that are out stay good for their last minutes."""
    made = client.send("POST", "/access/token-keys")
    if as_json:
        print_json(made)
        return
    click.echo(f"tokens are signed with key {made['id']} from now on")
