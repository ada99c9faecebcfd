"""``moorage policy``: the rules that say who may do what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import below, confirm, print_fields, print_items, with_client, yes_flag
from registry.cli.definitions import read_definition, read_policy

if TYPE_CHECKING:
    from registry.cli.client import Client

_COLUMNS = {"rule": "name", "says": "says", "to": "to", "on": "on", "only": "only"}
_CONDITIONS = ("tags", "networks", "times")
_ROLES = ("pull", "push", "maintain", "admin")
_EPILOG = """\b
Definitions:
  {"to": ["team:builders"], "on": ["team/*"], "role": "push"}
  {"to": ["anonymous"], "on": ["library/*"], "role": "pull"}
  {"to": ["everybody"], "on": ["*"], "effect": "deny", "actions": ["delete"], "tags": ["v*"]}
"""


@click.group("policy", epilog=_EPILOG)
def command() -> None:
    """Look at the rules of access, make, change and remove them; keep all of them in a file.

    What no rule allows is denied, and a rule that denies is stronger than all that allow. `moorage access explain`
    tells which one decides.
    """


@command.command("list", short_help="List rules.", epilog="\b\nExample:\n  moorage policy list")
@with_client
@json_flag
def list_rules(client: Client, *, as_json: bool) -> None:
    """List rules by name."""
    found = list(client.items("/policy/rules"))
    print_items(found if as_json else [_for_people(rule) for rule in found], _COLUMNS, as_json=as_json)


@command.command("show", short_help="Show a rule.", epilog="\b\nExample:\n  moorage policy show administrators")
@with_client
@click.argument("name")
@json_flag
def show(client: Client, name: str, *, as_json: bool) -> None:
    """Show a rule."""
    found = client.get(below("/policy/rules", name))
    print_fields(found if as_json else {**found, "definition": json.dumps(found["definition"])}, as_json=as_json)


@command.command(
    "add",
    short_help="Make a rule.",
    epilog="""\b\nExamples:\n  moorage policy add team '{"to": ["team:dev"], "on": ["team/*"], "role": "push"}'\n"""
    """  moorage policy add team @rule.json""",
)
@with_client
@click.argument("name")
@click.argument("definition")
@json_flag
def add(client: Client, name: str, definition: str, *, as_json: bool) -> None:
    """Make a rule of a DEFINITION in JSON, or of the file @FILE."""
    made = client.send("POST", "/policy/rules", {"name": name, "definition": read_definition(definition)})
    _told(made, as_json=as_json)


@command.command(
    "grant",
    short_help="Let somebody do something.",
    epilog="\b\nExamples:\n  moorage policy grant push --to team:builders --on 'team/*'\n"
    "  moorage policy grant pull --to anonymous --on 'library/*'",
)
@with_client
@click.argument("role", type=click.Choice(_ROLES))
@click.option(
    "--to", metavar="SUBJECT", multiple=True, required=True, help="user:, robot: or team:NAME, everybody, anonymous."
)
@click.option(
    "--on", metavar="PATTERN", multiple=True, required=True, help="Which repositories: team/app, 'team/*', '*'."
)
@click.option("--name", metavar="NAME", help="What the rule is called (default: what it says).")
@json_flag
def grant(
    client: Client, role: str, *, to: tuple[str, ...], on: tuple[str, ...], name: str | None, as_json: bool
) -> None:
    """Make a rule that gives a role: pull, push, maintain (push, and delete), or admin."""
    from registry.cli.granting import grant_by_rule  # noqa: PLC0415 - only who runs a command waits for its imports

    _told(grant_by_rule(client, {"to": list(to), "on": list(on), "role": role}, name), as_json=as_json)


@command.command(
    "change",
    short_help="Change a rule.",
    epilog="""\b\nExample:\n  moorage policy change team '{"to": ["everybody"], "on": ["team/*"], "role": "pull"}'""",
)
@with_client
@click.argument("name")
@click.argument("definition")
@json_flag
def change(client: Client, name: str, definition: str, *, as_json: bool) -> None:
    """Replace a rule's definition."""
    changed = client.send("PUT", below("/policy/rules", name), {"definition": read_definition(definition)})
    _told(changed, as_json=as_json)


@command.command("delete", short_help="Remove a rule.", epilog="\b\nExample:\n  moorage policy delete builds --yes")
@with_client
@click.argument("name")
@yes_flag
def delete(client: Client, name: str, *, yes: bool) -> None:
    """Remove a rule; what it alone allowed is denied from then on."""
    confirm(f"Remove the rule {name}?", yes=yes)
    client.send("DELETE", below("/policy/rules", name))
    click.echo(f"removed {name}")


@command.command(
    "export", short_help="Print all rules as a file.", epilog="\b\nExample:\n  moorage policy export > policy.toml"
)
@with_client
@json_flag
def export(client: Client, *, as_json: bool) -> None:
    """Print all rules as TOML, a table each, as `moorage policy apply` reads them."""
    import tomli_w  # noqa: PLC0415 - only who runs a command waits for its imports

    rules = client.get("/policy")["rules"]
    if as_json:
        print_json(rules)
        return
    click.echo(tomli_w.dumps(rules), nl=False)


@command.command(
    "apply",
    short_help="Make all rules those of a file.",
    epilog="\b\nExamples:\n  moorage policy apply policy.toml --dry-run\n  moorage policy apply policy.toml --yes",
)
@with_client
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Only tell what would be made, changed and removed.")
@yes_flag
@json_flag
def apply(client: Client, file: str, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Make the rules of a file (TOML, a table each; - reads standard input) all there are, in one step.

    Rules that are not in the file are removed, which is asked about before.
    """
    rules = read_policy(file)
    changes = client.send("PUT", "/policy", {"rules": rules, "dry_run": True})
    if not dry_run:
        if changes["removed"]:
            confirm(f"Remove {', '.join(changes['removed'])}?", yes=yes)
        changes = client.send("PUT", "/policy", {"rules": rules})
    if as_json:
        print_json(changes)
        return
    for what, verb in (("made", "make"), ("changed", "change"), ("removed", "remove")):
        for name in changes[what]:
            click.echo(f"would {verb} {name}" if dry_run else f"{what} {name}")
    click.echo(f"{changes['same']} of {len(rules)} rules are as they were")


def _for_people(rule: dict[str, Any]) -> dict[str, Any]:
    definition = rule["definition"]
    says = definition.get("role") or f"deny {', '.join(definition.get('actions', ['all']))}"
    only = [f"{name} {json.dumps(definition[name])}" for name in _CONDITIONS if name in definition]
    on = definition.get("on", ["*"])
    shown = on if isinstance(on, list) else [json.dumps(on)]
    return {"name": rule["name"], "says": says, "to": definition["to"], "on": shown, "only": only}


def _told(rule: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(rule)
        return
    click.echo(f"rule {rule['name']}: {json.dumps(rule['definition'])}")
