"""``moorage blob``: blobs by their digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli.common import json_flag
from registry.cli.connecting import DIGEST, REPOSITORY, at, print_fields, with_client

if TYPE_CHECKING:
    from registry.cli.client import Client
    from registry.digest import Digest
    from registry.names import RepositoryName


@click.group("blob")
def command() -> None:
    """Tell where a blob is, and what names it."""


@command.command(
    "show",
    short_help="Show a blob.",
    epilog="\b\nExamples:\n  moorage blob show sha256:...\n  moorage blob show sha256:... --repository team/app",
)
@with_client
@click.argument("digest", type=DIGEST)
@click.option("--repository", type=REPOSITORY, metavar="NAME", help="Show which manifests of this one name it.")
@json_flag
def show_blob(client: Client, digest: Digest, *, repository: RepositoryName | None, as_json: bool) -> None:
    """Show a blob and the repositories that have it, or the manifests of one repository that name it."""
    path = f"/blobs/{digest}" if repository is None else at(repository, "blobs", digest)
    print_fields(client.get(path), as_json=as_json)
