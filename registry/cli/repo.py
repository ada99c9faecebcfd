"""``moorage repo``: repositories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from registry import setting_values
from registry.cli.common import json_flag, print_json
from registry.cli.connecting import (
    REPOSITORY,
    Parsed,
    at,
    confirm,
    print_fields,
    print_items,
    somebody_is_there,
    with_client,
    yes_flag,
)
from registry.cli.times import MOMENT
from registry.repositories.lives import length_text

if TYPE_CHECKING:
    from registry.cli.client import Client
    from registry.names import RepositoryName

F = TypeVar("F", bound=Callable[..., Any])
_DEFAULT = "default"


def _or_default(read: setting_values.Reader) -> Callable[[str], object]:
    """Make a reader of values that also takes a word for "as the registry's settings say", which is None."""

    def read_or_default(text: str) -> object:
        try:
            return None if text.strip().lower() == _DEFAULT else read(text)
        except ValueError as error:
            raise ValueError(f"{error}, or {_DEFAULT}") from None

    return read_or_default


_SPARSE: Parsed[object] = Parsed("true, false or default", _or_default(setting_values.boolean))
_WINDOW: Parsed[object] = Parsed("duration or default", _or_default(setting_values.whole_duration(0)))
_settings = (
    click.option("--description", metavar="TEXT", help="What it is for."),
    click.option(
        "--recovery-window",
        "recovery_seconds",
        metavar="DURATION",
        type=_WINDOW,
        help='How long what was deleted stays restorable: 14d, 12h, or "default".',
    ),
    click.option(
        "--allow-sparse",
        metavar="BOOLEAN",
        type=_SPARSE,
        help='Accept manifests whose blobs or children are missing: true, false or "default".',
    ),
)


def _settings_flags(function: F) -> F:
    for option in reversed(_settings):
        function = option(function)
    return function


def _given(settings: Mapping[str, object]) -> dict[str, object]:
    """Return the settings that flags were given for; of these, "default" is None."""
    source = click.get_current_context().get_parameter_source
    return {name: value for name, value in settings.items() if source(name) != ParameterSource.DEFAULT}


@click.group("repo")
def command() -> None:
    """Look at repositories, make, change, rename, delete and restore them."""


@command.command(
    "list",
    short_help="List repositories.",
    epilog="\b\nExamples:\n  moorage repo list\n  moorage repo list --namespace team --json",
)
@with_client
@click.option("--namespace", metavar="NAME", help='Only those of this namespace ("" for names without a slash).')
@click.option("--prefix", metavar="TEXT", help="Only those whose names start so.")
@click.option("--deleted", is_flag=True, help="Those that were deleted and can be restored, instead of the others.")
@json_flag
def list_repositories(
    client: Client, *, namespace: str | None, prefix: str | None, deleted: bool, as_json: bool
) -> None:
    """List repositories by name, those without content included."""
    query = {"namespace": namespace, "prefix": prefix, "deleted": deleted or None}
    columns = {"repository": "name", "created": "created", "description": "description"}
    found = list(client.items("/repositories", query))
    of_deleted = {"id": "id", "deleted": "deleted", "restorable until": "restorable_until"}
    print_items(found, {**columns, **of_deleted} if deleted else columns, as_json=as_json)


@command.command("show", short_help="Show a repository.", epilog="\b\nExample:\n  moorage repo show team/app --json")
@with_client
@click.argument("repository", type=REPOSITORY)
@json_flag
def show_repository(client: Client, repository: RepositoryName, *, as_json: bool) -> None:
    """Show a repository, its settings and how much it holds."""
    _print_repository({**client.get(at(repository)), **client.get(at(repository, "usage"))}, as_json=as_json)


@command.command(
    "create",
    short_help="Make an empty repository.",
    epilog='\b\nExample:\n  moorage repo create team/app --description "The app" --recovery-window 30d',
)
@with_client
@click.argument("repository", type=REPOSITORY)
@_settings_flags
@json_flag
def create_repository(client: Client, repository: RepositoryName, *, as_json: bool, **settings: object) -> None:
    """Make an empty repository. A first push makes one as well."""
    made = client.send("POST", "/repositories", {"name": repository.value, **_given(settings)})
    _print_repository(made, as_json=as_json)


@command.command(
    "set",
    short_help="Change a repository's settings.",
    epilog="\b\nExamples:\n  moorage repo set team/app --recovery-window 2d\n"
    "  moorage repo set team/app --recovery-window default --allow-sparse true",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@_settings_flags
@json_flag
def set_settings(client: Client, repository: RepositoryName, *, as_json: bool, **settings: object) -> None:
    """Change a repository's settings; those not given stay. "default" is what the registry's settings say.

    A shorter recovery window also holds for what is deleted already.
    """
    given = _given(settings)
    if not given:
        raise click.UsageError("nothing to set: give a setting, such as --description TEXT")
    _print_repository(client.send("PATCH", at(repository), given), as_json=as_json)


@command.command(
    "rename",
    short_help="Rename a repository.",
    epilog="\b\nExample:\n  moorage repo rename team/app team/service",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("name", type=REPOSITORY)
@json_flag
def rename_repository(client: Client, repository: RepositoryName, name: RepositoryName, *, as_json: bool) -> None:
    """Give a repository another NAME. The old one leads nowhere afterwards."""
    _print_repository(client.send("POST", at(repository, "rename"), {"name": name.value}), as_json=as_json)


@command.command(
    "delete",
    short_help="Delete a repository.",
    epilog="\b\nExamples:\n  moorage repo delete team/app\n  moorage repo delete team/app --yes --force",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.option("--force", is_flag=True, help="Delete it even if tags in it are immutable.")
@yes_flag
@json_flag
def delete_repository(client: Client, repository: RepositoryName, *, force: bool, yes: bool, as_json: bool) -> None:
    """Delete a repository: gone at once for clients, and restorable for its recovery window."""
    held = client.get(at(repository, "usage"))
    confirm(f"Delete {repository} with {held['tags']} tags and {held['manifests']} manifests?", yes=yes)
    gone = client.send("DELETE", at(repository), query={"force": force})
    _print_repository(gone, as_json=as_json)
    if not as_json:
        click.echo(f"until then it can be restored: moorage repo undelete {repository}")


@command.command(
    "undelete",
    short_help="Restore a deleted repository.",
    epilog="\b\nExamples:\n  moorage repo list --deleted\n  moorage repo undelete team/app",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.option("--id", "row_id", type=int, metavar="ID", help="Which, where several of this name were deleted.")
@json_flag
def undelete_repository(client: Client, repository: RepositoryName, *, row_id: int | None, as_json: bool) -> None:
    """Restore a deleted repository with all that it held; without --id the one that was deleted last."""
    _print_repository(client.send("POST", at(repository, "undelete"), {"id": row_id}), as_json=as_json)


@command.command(
    "restore",
    short_help="Put a repository's tags back to a time.",
    epilog="\b\nExamples:\n  moorage repo restore team/app --as-of 2h --dry-run\n"
    "  moorage repo restore team/app --as-of 2026-11-24T10:00:00Z --yes",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.option("--as-of", type=MOMENT, required=True, help="The time, or how long ago (2h).")
@click.option("--dry-run", is_flag=True, help="Only list what would be done.")
@yes_flag
@json_flag
def restore_repository(
    client: Client, repository: RepositoryName, *, as_of: datetime, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Put all tags of a repository back to what they stood for at a time; deleted manifests come back with them.

    Tags that were made since end. Immutable tags, and those whose manifest was removed for good, are left alone. What
    will change is listed first, and the end says how to undo it.
    """
    query = {"as_of": as_of.isoformat()}
    plan = [one for one in client.items(at(repository, "restore"), query) if one["change"] != "keep"]
    asks = not yes and somebody_is_there()
    if as_json and dry_run:
        print_json(plan)
        return
    if not as_json and not plan:
        click.echo(f"every tag of {repository} is what it was then: nothing is to be changed")
        return
    if dry_run or asks:
        columns = {"tag": "tag", "change": "change", "now": "present", "then": "then", "why": "why"}
        print_items(plan, columns, as_json=False)
    if dry_run:
        return
    from registry.cli.following import follow  # noqa: PLC0415 - only who runs a command waits for its imports

    confirm(f"Change {len(plan)} tags of {repository} to what they were at {as_of.isoformat()}?", yes=yes)
    started = client.send("POST", at(repository, "restore"), query)
    run = follow(client, client.get(f"/runs/{started['run']}"))
    if as_json:
        print_json(run)
        return
    done = {name: count for name, count in run["result"].items() if name not in ("left", "keep") and count}
    click.echo(", ".join(f"{name}: {count}" for name, count in done.items()) or "nothing was to be changed")
    for line in run["result"]["left"]:
        click.echo(f"left alone: {line}")
    if any(name in done for name in ("set", "move", "end")):
        before = datetime.fromisoformat(run["started"]) - timedelta(milliseconds=1)
        undo = before.isoformat(timespec="milliseconds")
        click.echo(f"to undo: moorage repo restore {repository} --as-of {undo}")


def _print_repository(found: dict[str, Any], *, as_json: bool) -> None:
    """Print a repository: as JSON, or with each setting as it is in force."""
    if as_json:
        print_json(found)
        return
    named = {
        "recovery_window": length_text(found["in_force"]["recovery_seconds"] * 1000),
        "allow_sparse": "yes" if found["in_force"]["allow_sparse"] else "no",
    }
    for name, own in (("recovery_window", "recovery_seconds"), ("allow_sparse", "allow_sparse")):
        named[name] += "" if found[own] is not None else " (the registry's setting)"
    hidden = {"allow_sparse", "recovery_seconds", "in_force"}
    hidden.update(name for name in ("deleted", "restorable_until") if found[name] is None)
    left = {name: value for name, value in found.items() if name not in hidden}
    print_fields({"id": left.pop("id"), "name": left.pop("name"), **named, **left}, as_json=False)
