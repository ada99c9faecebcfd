"""``moorage rule``: house rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import FlagRefused, json_flag, print_json
from registry.cli.connecting import (
    REPOSITORY,
    at,
    below,
    confirm,
    print_fields,
    print_items,
    time_text,
    with_client,
    yes_flag,
)
from registry.cli.definitions import read_definition
from registry.repositories.lives import age_text

if TYPE_CHECKING:
    from registry.cli.client import Client
    from registry.names import RepositoryName

_COLUMNS = {
    "rule": "name",
    "kind": "kind",
    "holds": "holds",
    "definition": "definition",
}
_TRIED = {"tag": "tag", "digest": "digest", "age": "age", "but ends": "ends"}
_PAGE = 1000
_EPILOG = """\b
Definitions of immutability:
  {"tags": ["v*"]}
  {"tags": {"include": ["re:[0-9]+[.][0-9]+"], "exclude": ["*-rc*"]}, "after": "1h", "retroactive": true}

\b
Definitions of retention:
  {"keep": {"last": 10}}
  {"select": ["pr-*"], "keep": {"younger_than": "30d", "pulled_within": "7d"}}
"""


@click.group("rule", epilog=_EPILOG)
def command() -> None:
    """Look at house rules, make, change, try and remove them.

    A rule of immutability says which tags must not be moved or deleted; one of retention says what is kept of the
    tags that it selects, so that the others go. Without --repository and --namespace a rule holds everywhere.
    """


@command.command("list", short_help="List rules.", epilog="\b\nExample:\n  moorage rule list --kind retention")
@with_client
@click.option("--kind", type=click.Choice(["immutability", "retention"]), help="Only those of this kind.")
@click.option("--repository", type=REPOSITORY, help="Only those of this repository alone.")
@click.option("--namespace", metavar="NAME", help="Only those of this namespace alone.")
@json_flag
def list_rules(
    client: Client, *, kind: str | None, repository: RepositoryName | None, namespace: str | None, as_json: bool
) -> None:
    """List rules by name."""
    query = {"kind": kind, "repository": repository, "namespace": namespace}
    found = list(client.items("/rules", query))
    if not as_json:
        found = [{**rule, "holds": _where(rule), "definition": json.dumps(rule["definition"])} for rule in found]
    print_items(found, _COLUMNS, as_json=as_json)


@command.command("show", short_help="Show a rule.", epilog="\b\nExample:\n  moorage rule show keep-releases")
@with_client
@click.argument("name")
@json_flag
def show(client: Client, name: str, *, as_json: bool) -> None:
    """Show a rule."""
    found = client.get(below("/rules", name))
    print_fields(found if as_json else {**found, "definition": json.dumps(found["definition"])}, as_json=as_json)


@command.command(
    "add",
    short_help="Make a rule.",
    epilog="""\b\nExamples:\n  moorage rule add releases --kind immutability '{"tags": ["v*"]}'\n"""
    """  moorage rule add last-ten --kind retention --repository team/app '{"keep": {"last": 10}}'\n"""
    """  moorage rule add last-ten --kind retention --namespace team @rule.json""",
)
@with_client
@click.argument("name")
@click.argument("definition")
@click.option("--kind", type=click.Choice(["immutability", "retention"]), required=True, help="What it is about.")
@click.option("--repository", type=REPOSITORY, help="For this repository alone.")
@click.option("--namespace", metavar="NAME", help='For this namespace alone ("" is that of names without a slash).')
@json_flag
def add(
    client: Client,
    name: str,
    definition: str,
    *,
    kind: str,
    repository: RepositoryName | None,
    namespace: str | None,
    as_json: bool,
) -> None:
    """Make a rule of a DEFINITION in JSON, or of the file @FILE.

    Try it before: `moorage rule test` for immutability, `moorage retention plan --draft` for retention.
    """
    if repository is not None and namespace is not None:
        raise FlagRefused("--repository and --namespace: give one of them, or none")
    wanted = {
        "name": name,
        "kind": kind,
        "definition": _definition(definition),
        "repository": None if repository is None else str(repository),
        "namespace": namespace,
    }
    _told(client, client.send("POST", "/rules", wanted), as_json=as_json)


@command.command(
    "change",
    short_help="Change a rule.",
    epilog="""\b\nExample:\n  moorage rule change last-ten '{"keep": {"last": 20}}'""",
)
@with_client
@click.argument("name")
@click.argument("definition")
@json_flag
def change(client: Client, name: str, definition: str, *, as_json: bool) -> None:
    """Replace a rule's definition."""
    changed = client.send("PUT", below("/rules", name), {"definition": _definition(definition)})
    _told(client, changed, as_json=as_json)


@command.command(
    "test",
    short_help="Try a rule of immutability.",
    epilog="""\b\nExample:\n  moorage rule test team/app '{"tags": ["v*"], "retroactive": true}'""",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("definition")
@json_flag
def test(client: Client, repository: RepositoryName, definition: str, *, as_json: bool) -> None:
    """List the tags that a rule of immutability would protect now. For retention there is `moorage retention plan`.

    A tag that has an end is not protected before that is cleared.
    """
    path, wanted = at(repository, "protection"), {"definition": _definition(definition)}
    tried, items, cursor, more = 0, list[dict[str, Any]](), None, True
    while more:
        page = client.send("POST", path, wanted, query={"limit": _PAGE, "cursor": cursor})
        tried, items, cursor = tried + page["tried"], items + page["items"], page["next"]
        more = cursor is not None
    if as_json:
        print_json({"tried": tried, "items": items})
        return
    shown = [{**item, "age": age_text(item["age_seconds"] * 1000)} for item in items]
    print_items(shown, _TRIED, as_json=False)
    ending = sum(item["ends"] is not None for item in items)
    click.echo(f"{len(items) - ending} of {tried} tags would be immutable")
    if wanted["definition"].get("retroactive") is not True:
        click.echo('tags that are made after the rule would be, too; "retroactive": true tries those that are there')
    if ending:
        click.echo(f"{ending} more match, but end by then: moorage tag expire REPOSITORY TAG --never")


@command.command("delete", short_help="Remove a rule.", epilog="\b\nExample:\n  moorage rule delete last-ten --yes")
@with_client
@click.argument("name")
@yes_flag
def delete(client: Client, name: str, *, yes: bool) -> None:
    """Remove a rule; what it protected may be moved, and end, from then on."""
    confirm(f"Remove the rule {name}?", yes=yes)
    client.send("DELETE", below("/rules", name))
    click.echo(f"removed {name}")


def _definition(text: str) -> dict[str, Any]:
    return read_definition(text, '{"tags": ["v*"]}')


def _where(rule: dict[str, Any]) -> str:
    if rule["repository"] is not None:
        return f"for {rule['repository']}"
    return "everywhere" if rule["namespace"] is None else f"for namespace {rule['namespace']!r}"


def _told(client: Client, rule: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(rule)
        return
    click.echo(f"the {rule['kind']} rule {rule['name']} holds {_where(rule)}")
    if rule["kind"] == "retention":
        (job,) = [one for one in client.get("/jobs")["items"] if one["name"] == "retention"]
        at_time = f", next at {time_text(job['next'])}" if job["next"] else ""
        click.echo(f"a daily job removes what no rule keeps{at_time}")
        click.echo(f"to see before what goes: moorage retention plan {rule['repository'] or 'REPOSITORY'}")
    elif rule["definition"].get("retroactive") is not True:
        click.echo('tags that are there already are not protected by it; with "retroactive": true they would be')
