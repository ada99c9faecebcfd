"""``moorage retention``: what rules of retention remove, and why the rest is kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import FlagRefused, json_flag, print_json
from registry.cli.connecting import REPOSITORY, at, confirm, print_items, somebody_is_there, with_client, yes_flag

if TYPE_CHECKING:
    from registry.cli.client import Client
    from registry.names import RepositoryName

_AT_ONCE = 1000
_ENTRIES = {"tag or digest": "name", "fate": "fate", "rule": "rule", "why": "why"}


@click.group("retention")
def command() -> None:
    """Remove what rules of retention do not keep, and tell before what that is.

    A plan lists every tag and untagged manifest of a repository with the rule that decides; it changes nothing. A run
    removes what its plan names and nothing else, and leaves alone what was used or changed since. What it removes can
    be restored for the repository's recovery window. The same happens every day as the job "retention".
    """


@command.command(
    "plan",
    short_help="Tell what would be removed.",
    epilog="\b\nExamples:\n  moorage retention plan team/app --all\n"
    """  moorage retention plan team/app --draft 'last-ten={"keep": {"last": 10}}'""",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.option("--all", "everything", is_flag=True, help="List also what stays, and why.")
@click.option(
    "--draft",
    "drafts",
    metavar="NAME=DEFINITION",
    multiple=True,
    help="Try a rule (JSON) beside those that hold, or instead of the one of this name.",
)
@json_flag
def plan(
    client: Client, repository: RepositoryName, *, everything: bool, drafts: tuple[str, ...], as_json: bool
) -> None:
    """Make a plan and list what it removes; nothing is removed yet.

    A draft removes nothing, ever: `moorage rule add` makes it a rule.
    """
    found = client.send("POST", at(repository, "retention"), {"drafts": [_draft(text) for text in drafts]})
    _print_plan(client, repository, found, everything=everything, as_json=as_json)
    if as_json:
        return
    if drafts:
        return
    if found["run"]["total"]:
        click.echo(f"to carry it out: moorage retention run {repository} --plan {found['id']}")
    elif next(client.items("/rules", {"kind": "retention"}), None) is None:
        click.echo("""there is no rule of retention yet; try one: --draft 'last-ten={"keep": {"last": 10}}'""")


@command.command(
    "run",
    short_help="Remove what a plan names.",
    epilog="\b\nExamples:\n  moorage retention run team/app\n  moorage retention run team/app --plan 17 --yes",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.option("--plan", "plan_id", type=click.IntRange(1), metavar="ID", help="Carry this plan out, not a new one.")
@yes_flag
@json_flag
def run(client: Client, repository: RepositoryName, *, plan_id: int | None, yes: bool, as_json: bool) -> None:
    """Carry out a plan, a new one unless it is named; what was used or changed since it was made is left alone."""
    from registry.cli.following import progress_bar  # noqa: PLC0415 - only who runs a command waits for its imports

    if plan_id is None:
        found = client.send("POST", at(repository, "retention"), {})
    else:
        found = client.get(at(repository, "retention", plan_id))
    left = found["run"]["total"] - found["run"]["done"]
    if left:
        tags, untagged = found["tags"]["remove"], found["untagged"]["remove"]
        if not yes and somebody_is_there():
            _print_plan(client, repository, found, everything=False, as_json=False)
        confirm(f"Remove {tags} tags and {untagged} untagged manifests of {repository}?", yes=yes)
    with progress_bar() as bar:
        task = bar.add_task("retention", total=found["run"]["total"])
        while True:
            done = client.send("POST", at(repository, "retention", found["id"], "run"), {"most": _AT_ONCE})
            bar.update(task, completed=done["done"])
            if done["done"] >= done["total"]:
                break
    if as_json:
        print_json(done)
        return
    click.echo(f"removed {done['removed_tags']} tags and {done['removed_manifests']} untagged manifests")
    if done["removed_tags"]:
        click.echo(f"to take one back: moorage tag restore {repository} TAG")
    if done["skipped"]:
        click.echo(f"left {done['skipped']} alone:")
        print_items(done["skipped_first"], {"tag or digest": "name", "why": "reason"}, as_json=False)


@command.command(
    "plans", short_help="List plans and their runs.", epilog="\b\nExample:\n  moorage retention plans team/app"
)
@with_client
@click.argument("repository", type=REPOSITORY)
@json_flag
def list_plans(client: Client, repository: RepositoryName, *, as_json: bool) -> None:
    """List the plans of the last thirty days, those of the daily job included, and what became of them."""
    found = list(client.items(at(repository, "retention")))
    if as_json:
        print_json(found)
        return
    shown = [{**one, **one["run"], "removed": f"{one['run']['done']} of {one['run']['total']}"} for one in found]
    columns = {"plan": "id", "made": "as_of", "state": "state", "done": "removed", "left alone": "skipped"}
    print_items(shown, columns, as_json=False)


@command.command("show", short_help="Show a plan.", epilog="\b\nExample:\n  moorage retention show team/app 17 --all")
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("plan_id", metavar="PLAN", type=click.IntRange(1))
@click.option("--all", "everything", is_flag=True, help="List also what stays, and why.")
@json_flag
def show(client: Client, repository: RepositoryName, plan_id: int, *, everything: bool, as_json: bool) -> None:
    """Show what a plan removes, and why; the daily job keeps nothing else of its plans."""
    found = client.get(at(repository, "retention", plan_id))
    _print_plan(client, repository, found, everything=everything, as_json=as_json)


def _print_plan(
    client: Client, repository: RepositoryName, found: dict[str, Any], *, everything: bool, as_json: bool
) -> None:
    fate = None if everything else "remove"
    entries = list(client.items(at(repository, "retention", found["id"], "entries"), {"fate": fate}))
    if as_json:
        print_json({**found, "entries": entries})
        return
    named = [{**one, "name": one["tag"] or one["digest"], "rule": one["rule"] or ""} for one in entries]
    if named:
        print_items(named, _ENTRIES, as_json=False)
    tags, untagged = found["tags"], found["untagged"]
    click.echo(
        f"plan {found['id']} removes {tags['remove']} of {sum(tags.values())} tags"
        f" and {untagged['remove']} of {sum(untagged.values())} untagged manifests"
    )


def _draft(text: str) -> dict[str, object]:
    name, separator, definition = text.partition("=")
    try:
        read = json.loads(definition)
    except ValueError as error:
        read = error
    if not separator or not name or not isinstance(read, dict):
        raise FlagRefused(f"--draft: expected NAME= and a JSON object, not {text!r}")
    return {"name": name, "definition": read}
