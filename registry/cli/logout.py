"""``moorage logout``: the end of a login."""

from __future__ import annotations

import click

from registry.cli.common import FlagRefused
from registry.cli.connecting import below, server_flag
from registry.cli.kept import find_kept, forget


@click.command(
    "logout",
    short_help="End the key of a login, and forget it.",
    epilog="\b\nExample:\n  moorage logout --server https://registry.example",
)
@server_flag
def command(server: str | None) -> None:
    """End the key that `moorage login` has kept for a server, and forget it; what was got with it ends, too."""
    from registry.cli.client import connect  # noqa: PLC0415 - only who runs a command waits for its imports

    if not server:
        raise FlagRefused("say where to log out: --server URL, or MOORAGE_SERVER")
    kept = find_kept(server)
    if kept is None:
        click.echo(f"nobody is logged in at {server}")
        return
    prefix = kept.key.split("_")[1] if kept.key.count("_") > 1 else kept.key
    try:
        with connect(server, {}, {"Authorization": f"Bearer {kept.key}"}) as client:
            client.send("DELETE", below("/principals", kept.user, "keys", prefix))
    except click.ClickException as error:
        forget(server)
        told = f"the key is forgotten here, but the server did not end it, so that it is good until {kept.expires}"
        raise click.ClickException(f"{told}: {error.message}") from None
    forget(server)
    click.echo(f"logged out {kept.user}: the key is ended and forgotten")
