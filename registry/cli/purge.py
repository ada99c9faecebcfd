"""``moorage purge``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import FlagRefused, json_flag, print_json
from registry.cli.connecting import DIGEST, at, confirm, print_items, with_client, yes_flag
from registry.names import RepositoryName

if TYPE_CHECKING:
    from registry.cli.client import Client
    from registry.digest import Digest

_EPILOG = """\b
Examples:
  moorage purge sha256:... --reason 'a key leaked with it'
  moorage purge --list
  moorage purge sha256:... --undo
"""


@click.command("purge", epilog=_EPILOG)
@with_client
@click.argument("digest", type=DIGEST, required=False)
@click.option("--reason", metavar="TEXT", help="Why; kept on record, and told to who pushes it again.")
@click.option("--undo", is_flag=True, help="Let the digest come back instead.")
@click.option("--list", "listed", is_flag=True, help="List what was purged instead.")
@yes_flag
@json_flag
def command(
    client: Client, digest: Digest | None, *, reason: str | None, undo: bool, listed: bool, yes: bool, as_json: bool
) -> None:
    """Remove a blob or manifest from every repository at once, for good.

    For a leaked secret: no recovery window, lease, pin or protection holds it, its bytes are removed, and whoever
    pushes it again is refused. Images that name a purged blob are listed first; they stay, and cannot be pulled whole.
    """
    if listed:
        columns = {"digest": "digest", "reason": "reason", "by": "actor", "purged": "purged"}
        print_items(list(client.items("/purges")), columns, as_json=as_json)
    elif digest is None:
        raise FlagRefused("say which digest, or --list")
    elif undo:
        client.send("DELETE", f"/purges/{digest}")
        click.echo(f"{digest} may come back")
    elif not reason:
        raise FlagRefused("--reason: say why; it is kept on record")
    else:
        broken = [] if as_json else _named_by(client, digest)
        if broken:
            click.echo(
                "these name it, and cannot be pulled whole afterwards: delete them, or push them again without it"
            )
            print_items(broken, {"repository": "repository", "manifest": "digest", "tags": "tags"}, as_json=False)
        confirm(f"Remove {digest} from every repository, for good?", yes=yes)
        done = client.send("POST", "/purges", {"digest": str(digest), "reason": reason})
        if as_json:
            print_json(done)
            return
        from rich.filesize import decimal  # noqa: PLC0415 - only who runs a command waits for its imports

        where = ", ".join(done["repositories"]) or "no repository: it was not here, and is refused from now on"
        click.echo(f"purged {digest}: {decimal(done['freed']['bytes'])}, from {where}")
        if done["bytes_left"]:
            left = f"{decimal(done['bytes_left'])} that nobody can read any more are still in the store"
            click.echo(f"{left}, which did not remove them: a worker tries again, and so does another purge", err=True)


def _named_by(client: Client, digest: Digest) -> list[dict[str, Any]]:
    """Return the manifests that name a blob, the first hundred of each of the first hundred repositories."""
    from registry.cli.client import Refused  # noqa: PLC0415 - only who runs a command waits for its imports

    try:
        repositories = client.get(f"/blobs/{digest}")["repositories"]
    except Refused:  # a manifest, or nothing that was ever here
        return []
    found = []
    for name in map(RepositoryName.parse, repositories):
        for manifest in client.get(at(name, "blobs", digest))["manifests"]:
            tags = client.get(at(name, "manifests", manifest))["tags"]
            found.append({"repository": name, "digest": manifest, "tags": tags})
    return found
