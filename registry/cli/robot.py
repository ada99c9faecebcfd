"""``moorage robot``: programs that log in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli.common import FlagRefused, json_flag, print_json
from registry.cli.connecting import below, confirm, print_fields, print_items, with_client, yes_flag

if TYPE_CHECKING:
    from registry.cli.client import Client

_COLUMNS = {
    "robot": "name",
    "disabled": "disabled",
    "teams": "teams",
    "about": "description",
}


@click.group("robot")
def command() -> None:
    """Make robots, disable, enable and delete them.

    A robot is a program of a namespace, called NAMESPACE+NAME. It has no password, but API keys: `moorage key add`.
    What it may do, rules of the policy say: `moorage policy grant`.
    """


@command.command("add", short_help="Make a robot.", epilog="\b\nExample:\n  moorage robot add team+ci")
@with_client
@click.argument("name", metavar="NAMESPACE+NAME")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@json_flag
def add(client: Client, name: str, *, description: str, as_json: bool) -> None:
    """Make a robot."""
    namespace, plus, own = name.partition("+")
    if not plus:
        raise FlagRefused(f"a robot is called NAMESPACE+NAME, such as team+ci, not {name!r}")
    made = client.send("POST", "/robots", {"namespace": namespace, "name": own, "description": description})
    if as_json:
        print_json(made)
        return
    click.echo(f"made robot {name}")
    click.echo(f"what it logs in with: moorage key add {name} NAME")
    click.echo(f"to let it push: moorage policy grant push --to robot:{name} --on '{namespace}/*'")


@command.command("list", short_help="List robots.", epilog="\b\nExample:\n  moorage robot list")
@with_client
@json_flag
def list_robots(client: Client, *, as_json: bool) -> None:
    """List robots by name."""
    print_items(list(client.items("/robots")), _COLUMNS, as_json=as_json)


@command.command("show", short_help="Show a robot.", epilog="\b\nExample:\n  moorage robot show team+ci")
@with_client
@click.argument("name", metavar="NAMESPACE+NAME")
@json_flag
def show(client: Client, name: str, *, as_json: bool) -> None:
    """Show a robot."""
    print_fields(client.get(below("/robots", name)), as_json=as_json)


@command.command("disable", short_help="Let robots in no more.", epilog="\b\nExample:\n  moorage robot disable team+ci")
@with_client
@click.argument("names", metavar="NAMESPACE+NAME...", nargs=-1, required=True)
@json_flag
def disable(client: Client, names: tuple[str, ...], *, as_json: bool) -> None:
    """Let robots in no more, until they are enabled; tokens that they have are worth nothing from now on."""
    _set(client, names, disabled=True, as_json=as_json)


@command.command("enable", short_help="Let robots in again.", epilog="\b\nExample:\n  moorage robot enable team+ci")
@with_client
@click.argument("names", metavar="NAMESPACE+NAME...", nargs=-1, required=True)
@json_flag
def enable(client: Client, names: tuple[str, ...], *, as_json: bool) -> None:
    """Let robots in again."""
    _set(client, names, disabled=False, as_json=as_json)


@command.command("delete", short_help="Delete a robot.", epilog="\b\nExample:\n  moorage robot delete team+ci --yes")
@with_client
@click.argument("name", metavar="NAMESPACE+NAME")
@yes_flag
def delete(client: Client, name: str, *, yes: bool) -> None:
    """Delete a robot with its keys; rules speak of it no more."""
    confirm(f"Delete the robot {name} with its keys?", yes=yes)
    client.send("DELETE", below("/robots", name))
    click.echo(f"deleted {name}")


def _set(client: Client, names: tuple[str, ...], *, disabled: bool, as_json: bool) -> None:
    changed = [client.send("PATCH", below("/robots", name), {"disabled": disabled}) for name in names]
    if as_json:
        print_json(changed)
        return
    for name in names:
        click.echo(f"{name} is {'disabled' if disabled else 'enabled'}")
