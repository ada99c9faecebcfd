"""``moorage trust``: tokens of CI systems in place of secrets."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import FlagRefused, json_flag, print_json
from registry.cli.connecting import below, confirm, print_fields, print_items, with_client, yes_flag
from registry.cli.definitions import read_definition
from registry.cli.times import LENGTH

if TYPE_CHECKING:
    from registry.cli.client import Client

_COLUMNS = {"trust": "name", "robot": "robot", "issuer": "issuer", "claims": "claims", "scopes": "scopes"}


@click.group("trust")
def command() -> None:
    """Let jobs of CI systems stand for robots, by tokens that their issuer signs: no secret is stored anywhere.

    A job of GitHub, GitLab or Kubernetes logs in with such a token as the password: `docker login -u NAMESPACE+NAME`.
    Trusts say which tokens stand for which robot; what the robot may do, rules of the policy say.
    """


@command.command(
    "add",
    short_help="Make a trust.",
    epilog="\b\nExamples:\n  moorage trust add app --robot team+ci \\\n"
    "    --issuer https://token.actions.githubusercontent.com --audience https://registry.example \\\n"
    "    --claim repository=acme/app --claim ref=refs/heads/main\n"
    "  moorage trust add cluster --robot team+ci --issuer https://kubernetes.default.svc \\\n"
    "    --claim sub=system:serviceaccount:builds:pusher --keys jwks.json",
)
@with_client
@click.argument("name")
@click.option("--robot", metavar="NAMESPACE+NAME", required=True, help="For whom the tokens stand.")
@click.option("--issuer", metavar="URL", required=True, help="Who signs them: their claim iss.")
@click.option(
    "--audience", "audiences", metavar="TEXT", multiple=True, help="What they are for (default: external_url)."
)
@click.option(
    "--claim",
    "claims",
    metavar="NAME=PATTERN",
    multiple=True,
    required=True,
    help="A claim that they must have; several patterns of one claim are alternatives.",
)
@click.option(
    "--scope",
    "scopes",
    metavar="ROLE[:PATTERN]",
    multiple=True,
    help="Narrow it: pull, push, maintain or admin, everywhere or on repositories of a pattern.",
)
@click.option("--lifetime", metavar="DURATION", type=LENGTH, help="The longest that what is got by it lives.")
@click.option("--keys", metavar="FILE", help="The issuer's keys (JWKS), where this registry cannot ask it for them.")
@json_flag
def add(client: Client, name: str, *, keys: str | None, as_json: bool, **said: Any) -> None:  # noqa: ANN401 - what click read
    """Make a trust. At least one claim has to say whose tokens are meant; a name that starts with / is a JSON pointer.

    A trust is not changed later: delete it, and make another one.
    """
    lifetime: timedelta | None = said["lifetime"]
    wanted = {
        "name": name,
        "robot": said["robot"],
        "issuer": said["issuer"],
        "audiences": list(said["audiences"]),
        "claims": _claims(said["claims"]),
        "scopes": list(said["scopes"]),
        "lifetime_seconds": None if lifetime is None else lifetime // timedelta(seconds=1),
        "keys": None if keys is None else read_definition(f"@{keys}", '{"keys": [...]}'),
    }
    made = client.send("POST", "/trusts", wanted)
    if as_json:
        print_json(made)
        return
    robot = made["robot"]
    click.echo(f"made trust {name}: tokens of {made['issuer']} for {' or '.join(made['audiences'])} stand for {robot}")
    click.echo(f"to log in with one: docker login -u {robot} --password-stdin REGISTRY")
    click.echo("to see why one is let in, or not: moorage trust explain FILE")


@command.command("list", short_help="List trusts.", epilog="\b\nExample:\n  moorage trust list")
@with_client
@json_flag
def list_trusts(client: Client, *, as_json: bool) -> None:
    """List trusts by name."""
    found = list(client.items("/trusts"))
    print_items(found if as_json else [_for_people(trust) for trust in found], _COLUMNS, as_json=as_json)


@command.command("show", short_help="Show a trust.", epilog="\b\nExample:\n  moorage trust show app")
@with_client
@click.argument("name")
@json_flag
def show(client: Client, name: str, *, as_json: bool) -> None:
    """Show a trust."""
    found = client.get(below("/trusts", name))
    print_fields(found if as_json else _for_people(found), as_json=as_json)


@command.command("delete", short_help="Remove a trust.", epilog="\b\nExample:\n  moorage trust delete app --yes")
@with_client
@click.argument("name")
@yes_flag
def delete(client: Client, name: str, *, yes: bool) -> None:
    """Remove a trust; whoever logged in by it is let in no more from then on."""
    confirm(f"Remove the trust {name}?", yes=yes)
    client.send("DELETE", below("/trusts", name))
    click.echo(f"removed {name}")


@command.command(
    "explain",
    short_help="Tell why a token is let in, or not.",
    epilog="\b\nExamples:\n  moorage trust explain token.jwt --robot team+ci\n"
    "  kubectl create token pusher --audience https://registry.example | moorage trust explain -",
)
@with_client
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--robot", metavar="NAMESPACE+NAME", help="For whom it should stand (default: for any).")
@json_flag
def explain(client: Client, file: str, *, robot: str | None, as_json: bool) -> None:
    """Tell what the token in FILE (- is standard input) claims, and which trusts it fits. Nothing is given for it."""
    found = client.send("POST", "/trusts/explanation", {"token": _token(file), "robot": robot})
    if as_json:
        print_json(found)
        return
    click.echo("the token claims:")
    for name, value in sorted(found["claims"].items()):
        click.echo(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}")
    if not found["trusts"]:
        click.echo(f"no trust{f' of {robot}' if robot else ''} is in its issuer: moorage trust list")
    for trial in found["trusts"]:
        lets = "lets it in" if trial["fits"] else "does not let it in"
        click.echo(f"trust {trial['trust']} {lets} as {trial['robot']}")
        for problem in trial["problems"]:
            click.echo(f"  {problem}")


def _claims(texts: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, pattern = text.partition("=")
        if not name or not equals:
            raise FlagRefused(f"--claim is NAME=PATTERN, such as repository=acme/app, not {text!r}")
        found.setdefault(name, []).append(pattern)
    return found


def _token(file: str) -> str:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="ascii")
    except (OSError, UnicodeError) as error:
        raise FlagRefused(f"cannot read {file}: {error}") from None
    return text.strip()


def _for_people(trust: dict[str, Any]) -> dict[str, Any]:
    """Return a trust with its claims on lines, and of keys only how many there are."""
    claims = [f"{name}={pattern}" for name, patterns in trust["claims"].items() for pattern in patterns]
    keys = "" if trust["keys"] is None else f"{len(trust['keys'].get('keys', ()))} of its own"
    return {**trust, "claims": claims, "keys": keys}
