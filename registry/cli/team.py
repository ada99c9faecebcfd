"""``moorage team``: groups of users and robots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import below, confirm, print_fields, print_items, with_client, yes_flag

if TYPE_CHECKING:
    from registry.cli.client import Client

_COLUMNS = {"team": "name", "about": "description"}


@click.group("team")
def command() -> None:
    """Make teams of users and robots, and delete them; put members in, and take them out.

    A rule of the policy that names team:NAME speaks of all its members.
    """


@command.command("add", short_help="Make a team.", epilog="\b\nExample:\n  moorage team add builders alice team+ci")
@with_client
@click.argument("name")
@click.argument("members", metavar="[MEMBER]...", nargs=-1)
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@json_flag
def add(client: Client, name: str, members: tuple[str, ...], *, description: str, as_json: bool) -> None:
    """Make a team of users and robots."""
    made = client.send("POST", "/teams", {"name": name, "description": description})
    made = _join(client, name, members) or made
    if as_json:
        print_json(made)
        return
    click.echo(f"made team {name}: {', '.join(made['members']) or 'without members yet'}")
    click.echo(f"to let it push: moorage policy grant push --to team:{name} --on '{name}/*'")


@command.command("list", short_help="List teams.", epilog="\b\nExample:\n  moorage team list")
@with_client
@json_flag
def list_teams(client: Client, *, as_json: bool) -> None:
    """List teams by name."""
    print_items(list(client.items("/teams")), _COLUMNS, as_json=as_json)


@command.command("show", short_help="Show a team.", epilog="\b\nExample:\n  moorage team show builders")
@with_client
@click.argument("name")
@json_flag
def show(client: Client, name: str, *, as_json: bool) -> None:
    """Show a team with its members."""
    print_fields(client.get(below("/teams", name)), as_json=as_json)


@command.command("join", short_help="Put members in.", epilog="\b\nExample:\n  moorage team join builders bob team+ci")
@with_client
@click.argument("name")
@click.argument("members", metavar="MEMBER...", nargs=-1, required=True)
@json_flag
def join(client: Client, name: str, members: tuple[str, ...], *, as_json: bool) -> None:
    """Put users and robots into a team."""
    _told(_join(client, name, members), as_json=as_json)


@command.command("leave", short_help="Take members out.", epilog="\b\nExample:\n  moorage team leave builders bob")
@with_client
@click.argument("name")
@click.argument("members", metavar="MEMBER...", nargs=-1, required=True)
@json_flag
def leave(client: Client, name: str, members: tuple[str, ...], *, as_json: bool) -> None:
    """Take users and robots out of a team."""
    for member in members:
        client.send("DELETE", below("/teams", name, "members", member))
    _told(client.get(below("/teams", name)), as_json=as_json)


@command.command("delete", short_help="Delete a team.", epilog="\b\nExample:\n  moorage team delete builders --yes")
@with_client
@click.argument("name")
@yes_flag
def delete(client: Client, name: str, *, yes: bool) -> None:
    """Delete a team; its members stay, and rules speak of it no more."""
    confirm(f"Delete the team {name}?", yes=yes)
    client.send("DELETE", below("/teams", name))
    click.echo(f"deleted {name}")


def _join(client: Client, name: str, members: tuple[str, ...]) -> dict[str, Any]:
    team: dict[str, Any] = {}
    for member in members:
        team = client.send("PUT", below("/teams", name, "members", member))
    return team


def _told(team: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(team)
        return
    click.echo(f"{team['name']} has {', '.join(team['members']) or 'no members'}")
