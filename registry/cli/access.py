"""``moorage access``: who may do what, and why."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import Parsed, print_fields, print_items, with_client
from registry.cli.definitions import read_policy
from registry.cli.times import MOMENT
from registry.names import RepositoryName, parse_reference

if TYPE_CHECKING:
    from registry.cli.client import Client

_ACTIONS = ("pull", "push", "delete", "list", "admin")
_DIFFERENCE_COLUMNS = {
    "would be": "outcome",
    "who": "principal",
    "action": "action",
    "repository": "repository",
    "tag": "tag",
    "by rule": "new_rule",
    "was by": "rule",
    "times": "count",
    "last": "last",
}
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
    "simulate",
    short_help="Tell what other rules would change.",
    epilog="\b\nExamples:\n  moorage access simulate policy.toml\n"
    "  moorage policy export > policy.toml; $EDITOR policy.toml; moorage access simulate policy.toml --since 30d",
)
@with_client
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--since", type=MOMENT, default="7d", show_default=True, help="Since a time, or so long ago.")
@click.option("--until", type=MOMENT, help="Before a time.")
@json_flag
def simulate(client: Client, file: str, *, since: datetime, until: datetime | None, as_json: bool) -> None:
    """Decide again, by the rules of a file, what the audit log tells of, and list what would turn out differently.

    Nothing is changed. FILE is as `moorage policy apply` reads it (TOML; - reads standard input).
    """
    wanted: dict[str, object] = {"rules": read_policy(file), "since": since.isoformat()}
    if until is not None:
        wanted["until"] = until.isoformat()
    found = client.send("POST", "/access/simulation", wanted)
    if as_json:
        print_json(found)
        return
    if found["differences"]:
        print_items([_difference(one) for one in found["differences"]], _DIFFERENCE_COLUMNS, as_json=False)
    differing = sum(one["count"] for one in found["differences"])
    click.echo(f"{differing} of {found['requests']} requests would turn out differently")
    if found["gone"]:
        click.echo(f"{found['gone']} more were of principals that may do nothing any more")
    if not found["complete"]:
        click.echo("that is not all: there is more than is looked at at once; ask about a shorter time")


@command.command(
    "whoami", short_help="Tell who one is.", epilog="\b\nExample:\n  MOORAGE_API_KEY=... moorage access whoami"
)
@with_client
@json_flag
def whoami(client: Client, *, as_json: bool) -> None:
    """Tell who the credentials in the environment are to the registry, and to what they are narrowed."""
    print_fields(client.get("/whoami"), as_json=as_json)


def _difference(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "outcome": "allowed" if one["allowed"] else "denied",
        "repository": one["repository"] or "*",
        "rule": one["rule"] or "none",
        "new_rule": one["new_rule"] or "none",
    }


def _grant(found: dict[str, Any]) -> str:
    """Return the command that would allow what was asked about."""
    role = _ROLES.get(found["action"], found["action"])
    return f"moorage policy grant {role} --to {found['subjects'][0]} --on '{found['repository'] or '*'}'"
