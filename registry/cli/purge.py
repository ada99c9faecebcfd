"""``moorage purge``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli.common import FlagRefused, json_flag, print_json
from registry.cli.connecting import DIGEST, confirm, print_items, with_client, yes_flag

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
    pushes it again is refused. Images that name a purged blob stay, and cannot be pulled whole.
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
        confirm(f"Remove {digest} from every repository, for good?", yes=yes)
        done = client.send("POST", "/purges", {"digest": str(digest), "reason": reason})
        if as_json:
            print_json(done)
            return
        where = ", ".join(done["repositories"]) or "no repository: it was not here, and is refused from now on"
        click.echo(f"purged {digest}: {done['freed']['bytes']} bytes, from {where}")
        if done["bytes_left"]:
            left = (
                f"{done['bytes_left']} bytes nobody can read any more are still in the store, which did not remove them"
            )
            click.echo(f"{left}: a worker tries again, and so does another purge", err=True)
