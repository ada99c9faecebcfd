"""``moorage manifest``: manifests by their digests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import (
    DIGEST,
    REPOSITORY,
    at,
    confirm,
    print_fields,
    print_items,
    with_client,
    yes_flag,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.cli.client import Client
    from registry.digest import Digest
    from registry.names import RepositoryName

_SHOWN = 80


@click.group("manifest")
def command() -> None:
    """Look at manifests, delete and restore them."""


@command.command(
    "list",
    short_help="List a repository's manifests.",
    epilog="\b\nExamples:\n  moorage manifest list team/app\n  moorage manifest list team/app --deleted --json",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.option("--media-type", metavar="TYPE", help="Only those of this media type.")
@click.option("--artifact-type", metavar="TYPE", help="Only those of this artifact type.")
@click.option("--deleted", is_flag=True, help="Those that were deleted and are still kept, instead of the others.")
@json_flag
def list_manifests(
    client: Client,
    repository: RepositoryName,
    *,
    media_type: str | None,
    artifact_type: str | None,
    deleted: bool,
    as_json: bool,
) -> None:
    """List a repository's manifests, the newest first, whether a tag names them or not."""
    query = {"media_type": media_type, "artifact_type": artifact_type, "deleted": deleted or None}
    columns = {"digest": "digest", "media type": "media_type", "artifact type": "artifact_type", "created": "created"}
    found = list(client.items(at(repository, "manifests"), query))
    print_items(found, {**columns, "deleted": "deleted"} if deleted else columns, as_json=as_json)


@command.command(
    "show",
    short_help="Show a manifest and all that belongs to it.",
    epilog="\b\nExample:\n  moorage manifest show team/app sha256:...",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("digest", type=DIGEST)
@json_flag
def show_manifest(client: Client, repository: RepositoryName, digest: Digest, *, as_json: bool) -> None:
    """Show a manifest with its tags, children, blobs, layers and legacy images; also a deleted one while it is kept."""
    found = client.get(at(repository, "manifests", digest))
    if not as_json:
        for name in ("children", "blobs"):
            found[name] = [part["digest"] + ("" if part["present"] else " (missing)") for part in found[name]]
        found["layers"] = [_layer(layer) for layer in found["layers"] or ()]
        found["legacy_images"] = [image["id"] for image in found["legacy_images"]]
    print_fields(found, as_json=as_json)


@command.command(
    "referrers",
    short_help="List what refers to a manifest.",
    epilog="\b\nExample:\n  moorage manifest referrers team/app sha256:... --artifact-type text/spdx+json",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("digest", type=DIGEST)
@click.option("--artifact-type", metavar="TYPE", help="Only those of this artifact type.")
@json_flag
def list_referrers(
    client: Client, repository: RepositoryName, digest: Digest, *, artifact_type: str | None, as_json: bool
) -> None:
    """List the manifests whose subject this one is: signatures, attestations and the like."""
    found = list(client.items(at(repository, "manifests", digest, "referrers"), {"artifact_type": artifact_type}))
    print_items(found, {"digest": "digest", "artifact type": "artifact_type", "size": "size"}, as_json=as_json)


@command.command(
    "delete",
    short_help="Delete a manifest with all its tags.",
    epilog="\b\nExample:\n  moorage manifest delete team/app sha256:... --yes",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("digest", type=DIGEST)
@yes_flag
def delete_manifest(client: Client, repository: RepositoryName, digest: Digest, *, yes: bool) -> None:
    """Delete a manifest and end all its tags; both are restorable for the repository's recovery window."""
    tags = client.get(at(repository, "manifests", digest))["tag_count"]
    confirm(f"Delete {digest} of {repository}, which has {tags} tags?", yes=yes)
    client.send("DELETE", at(repository, "manifests", digest))
    click.echo(f"deleted {digest} and {tags} tags; to undo: moorage manifest restore {repository} {digest}")


@command.command(
    "restore",
    short_help="Bring a deleted manifest back.",
    epilog="\b\nExamples:\n  moorage manifest list team/app --deleted\n  moorage manifest restore team/app sha256:...",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("digest", type=DIGEST)
@json_flag
def restore_manifest(client: Client, repository: RepositoryName, digest: Digest, *, as_json: bool) -> None:
    """Bring a deleted manifest back, with the tags that its deletion ended; tags taken by others since stay so."""
    done = client.send("POST", at(repository, "manifests", digest, "restore"))
    if as_json:
        print_json(done)
        return
    click.echo(f"restored {digest}; tags: {', '.join(done['tags']) or 'none'}")
    if done["taken"]:
        click.echo(f"these tags stand for something else by now: {', '.join(done['taken'])}")


def _layer(layer: Mapping[str, Any]) -> str:
    """Return a layer in one line: what it is called or made by, and where its bytes are."""
    named = layer["comment"] or layer["created_by"]
    return " ".join(part for part in (layer["digest"] or "(empty)", f"{layer['size']} bytes", named[:_SHOWN]) if part)
