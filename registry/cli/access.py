"""``moorage access``: who may do what, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import Parsed, print_fields, with_client
from registry.names import RepositoryName, parse_reference

if TYPE_CHECKING:
    from registry.cli.client import Client

_ACTIONS = ("pull", "push", "delete", "list", "admin")
_ROLES = {"list": "pull", "delete": "maintain"}


def _target(text: str) -> tuple[RepositoryName, str]:
    """Read ``REPOSITORY[:TAG|@DIGEST]``."""
    name, _, reference = text.partition("@") if "@" in text else text.partition(":")
    if reference:
        parse_reference(reference)
    return RepositoryName.parse(name), reference


@click.group("access")
def command() -> None:
    """Tell who may do what, and why; and who one is."""


@command.command(
    "explain",
    short_help="Tell why something is allowed, or not.",
    epilog="\b\nExamples:\n  moorage access explain alice push team/app:v1\n"
    "  moorage access explain anonymous pull library/alpine\n"
    "  moorage access explain team+ci delete team/app --address 192.0.2.7\n"
    "  moorage access explain alice admin",
)
@with_client
@click.argument("principal")
@click.argument("action", type=click.Choice(_ACTIONS))
@click.argument("target", metavar="[REPOSITORY[:TAG|@DIGEST]]", required=False, type=Parsed("target", _target))
@click.option("--address", metavar="IP", help="As if asked from this address.")
@json_flag
def explain(
    client: Client,
    principal: str,
    action: str,
    target: tuple[RepositoryName, str] | None,
    *,
    address: str | None,
    as_json: bool,
) -> None:
    """Tell whether a user, a robot or `anonymous` may do something, and which rule says so.

    Without REPOSITORY it is about the registry as a whole: users, rules, jobs.
    """
    name, reference = (None, "") if target is None else target
    query = {"principal": principal, "action": action, "repository": name, "reference": reference, "address": address}
    found = client.get("/access/explanation", query)
    if as_json:
        print_json(found)
        return
    click.echo(f"{'allowed' if found['allowed'] else 'denied'}: {found['reason']}")
    click.echo(f"{principal} is, to rules: {', '.join(found['subjects'])}")
    if found["plugin"]:
        click.echo(f"to see what that is: moorage plugins show {found['plugin']}")
    elif found["rule"]:
        click.echo(f"what it says: moorage policy show {found['rule']}")
    elif not found["allowed"] and found["subjects"]:
        click.echo(f"to allow it: {_grant(found)}")


@command.command(
    "whoami", short_help="Tell who one is.", epilog="\b\nExample:\n  MOORAGE_API_KEY=... moorage access whoami"
)
@with_client
@json_flag
def whoami(client: Client, *, as_json: bool) -> None:
    """Tell who the credentials in the environment are to the registry, and to what they are narrowed."""
    print_fields(client.get("/whoami"), as_json=as_json)


def _grant(found: dict[str, Any]) -> str:
    """Return the command that would allow what was asked about."""
    role = _ROLES.get(found["action"], found["action"])
    return f"moorage policy grant {role} --to {found['subjects'][0]} --on '{found['repository'] or '*'}'"
