"""``moorage label``: labels of manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import DIGEST, REPOSITORY, at, print_items, with_client

if TYPE_CHECKING:
    from registry.cli.client import Client
    from registry.digest import Digest
    from registry.names import RepositoryName


@click.group("label")
def command() -> None:
    """Look at the labels of manifests, add some, and remove them.

    Some labels act: org.moorage.expires-after=2w ends tags, quay.immutable=true protects them,
    org.moorage.keep-last=5 keeps the newest, org.moorage.pin=true keeps a manifest without a tag.
    """


@command.command("list", short_help="List labels.", epilog="\b\nExample:\n  moorage label list team/app sha256:...")
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("digest", type=DIGEST)
@json_flag
def list_labels(client: Client, repository: RepositoryName, digest: Digest, *, as_json: bool) -> None:
    """List a manifest's labels; a warning says why one has no effect."""
    found = client.get(at(repository, "manifests", digest, "labels"))["items"]
    columns = {"id": "id", "key": "key", "value": "value", "from": "source", "warning": "warning"}
    print_items(found, columns, as_json=as_json)


@command.command(
    "add",
    short_help="Add a label.",
    epilog="\b\nExample:\n  moorage label add team/app sha256:... org.moorage.expires-after 30d",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("digest", type=DIGEST)
@click.argument("key")
@click.argument("value")
@json_flag
def add_label(
    client: Client, repository: RepositoryName, digest: Digest, key: str, value: str, *, as_json: bool
) -> None:
    """Add a label; it acts on all tags of the manifest, counted from each tag's own start."""
    made = client.send("POST", at(repository, "manifests", digest, "labels"), {"key": key, "value": value})
    if as_json:
        print_json(made)
        return
    click.echo(f"added label {made['id']}: {key}={value}")
    if made["warning"]:
        click.echo(f"it has no effect: {made['warning']}", err=True)


@command.command(
    "remove", short_help="Remove a label.", epilog="\b\nExample:\n  moorage label remove team/app sha256:... 17"
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("digest", type=DIGEST)
@click.argument("label", type=click.IntRange(1))
def remove_label(client: Client, repository: RepositoryName, digest: Digest, label: int) -> None:
    """Remove a label by its id, with what it alone had done; those that came with the manifest stay."""
    client.send("DELETE", at(repository, "manifests", digest, "labels", label))
    click.echo(f"removed label {label}")
