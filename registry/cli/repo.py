"""``moorage repo``: repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli.common import json_flag
from registry.cli.connecting import REPOSITORY, at, print_fields, print_items, with_client

if TYPE_CHECKING:
    from registry.cli.client import Client
    from registry.names import RepositoryName


@click.group("repo")
def command() -> None:
    """Look at repositories."""


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
    print_items(found, {**columns, "deleted": "deleted"} if deleted else columns, as_json=as_json)


@command.command("show", short_help="Show a repository.", epilog="\b\nExample:\n  moorage repo show team/app --json")
@with_client
@click.argument("repository", type=REPOSITORY)
@json_flag
def show_repository(client: Client, repository: RepositoryName, *, as_json: bool) -> None:
    """Show a repository, its settings and how much it holds."""
    print_fields({**client.get(at(repository)), **client.get(at(repository, "usage"))}, as_json=as_json)
