"""``moorage label``: labels of manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import REFERENCE, REPOSITORY, at, print_items, with_client
from registry.names import TagName

if TYPE_CHECKING:
    from registry.cli.client import Client
    from registry.names import Reference, RepositoryName


_SHOWN = 64


@click.group("label")
def command() -> None:
    """Look at the labels of manifests, add some, and remove them.

    Some labels act: org.moorage.expires-after=2w ends tags, quay.immutable=true protects them,
    org.moorage.keep-last=5 keeps the newest, org.moorage.pin=true keeps a manifest without a tag. They belong to a
    manifest, and act on all its tags.
    """


@command.command("list", short_help="List labels.", epilog="\b\nExample:\n  moorage label list team/app v1")
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("reference", metavar="TAG|DIGEST", type=REFERENCE)
@json_flag
def list_labels(client: Client, repository: RepositoryName, reference: Reference, *, as_json: bool) -> None:
    """List a manifest's labels; a warning says what is odd about one: why it has no effect, or another one."""
    found = list(client.items(_labels_of(client, repository, reference), {}))
    columns = {"id": "id", "key": "key", "value": "value", "from": "source", "warning": "warning"}
    if not as_json:
        found = [{**label, "value": _shortened(label["value"])} for label in found]
    print_items(found, columns, as_json=as_json)


@command.command(
    "add",
    short_help="Add a label.",
    epilog="\b\nExample:\n  moorage label add team/app v1 org.moorage.expires-after 30d",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("reference", metavar="TAG|DIGEST", type=REFERENCE)
@click.argument("key")
@click.argument("value")
@json_flag
def add_label(
    client: Client, repository: RepositoryName, reference: Reference, key: str, value: str, *, as_json: bool
) -> None:
    """Add a label; it acts on all tags of the manifest, counted from each tag's own start."""
    made = client.send("POST", _labels_of(client, repository, reference), {"key": key, "value": value})
    if as_json:
        print_json(made)
        return
    click.echo(f"added label {made['id']}: {key}={value}")
    if made["warning"]:
        click.echo(f"warning: {made['warning']}", err=True)


@command.command("remove", short_help="Remove a label.", epilog="\b\nExample:\n  moorage label remove team/app v1 17")
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("reference", metavar="TAG|DIGEST", type=REFERENCE)
@click.argument("label", type=click.IntRange(1))
def remove_label(client: Client, repository: RepositoryName, reference: Reference, label: int) -> None:
    """Remove a label by its id, with what it alone had done; those that came with the manifest stay."""
    client.send("DELETE", f"{_labels_of(client, repository, reference)}/{label}")
    click.echo(f"removed label {label}")


def _shortened(value: str) -> str:
    """Return a value as it fits into a table, where a long one would hide the warning behind it."""
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "\N{HORIZONTAL ELLIPSIS}"
    return "".join(one if one.isprintable() else " " for one in shown)


def _labels_of(client: Client, repository: RepositoryName, reference: Reference) -> str:
    """Return the path of a manifest's labels; a tag stands for the manifest that it names now."""
    if isinstance(reference, TagName):
        return at(repository, "manifests", client.get(at(repository, "tags", reference))["digest"], "labels")
    return at(repository, "manifests", reference, "labels")
