"""``moorage login``: an API key for this machine, which somebody allows in a browser."""

from __future__ import annotations

import socket
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from registry.cli.common import FlagRefused, json_flag, print_json
from registry.cli.connecting import server_flag, time_text
from registry.cli.credentials import refuse_credentials_in, warn_of_plain_http
from registry.cli.kept import Kept, keep
from registry.cli.times import LENGTH

if TYPE_CHECKING:
    from registry.cli.client import Client

_SLOWER_SECONDS = 5
_LONGEST_HOST = 64
_WAITING = ("AUTHORIZATION_PENDING", "SLOW_DOWN", "UNAVAILABLE", "TOOMANYREQUESTS")


@click.command(
    "login",
    short_help="Log in to a server with a browser, and keep the key.",
    epilog="\b\nExamples:\n  moorage login --server https://registry.example\n"
    "  moorage login --server https://registry.example --print-key \\\n"
    "    | docker login -u alice --password-stdin registry.example",
)
@server_flag
@click.option(
    "--expires",
    metavar="DURATION",
    type=LENGTH,
    help="End the key after this time, such as 2h; the server sets a limit.",
)
@click.option("--print-key", is_flag=True, help="Print the key as well, alone on standard output.")
@json_flag
def command(server: str | None, *, expires: timedelta | None, print_key: bool, as_json: bool) -> None:
    """Log in to a server: open the page that is told, in any browser, and allow it there.

    What you get is an API key for this machine. It is kept in a file of yours alone, and used by every `moorage
    --server` of that address from now on, where the environment says nothing else.
    """
    from registry.cli.client import connect  # noqa: PLC0415 - only who runs a command waits for its imports

    if not server:
        raise FlagRefused("say where to log in: --server URL, or MOORAGE_SERVER")
    refuse_credentials_in(server)
    warn_of_plain_http(server)
    with connect(server, {}, {}) as client:
        wanted = {"host": _host(), "expires_in_seconds": None if expires is None else expires // timedelta(seconds=1)}
        asked = client.send("POST", "/logins", wanted)
        click.echo(f"Open this page in a browser, and log in there:\n  {asked['page_with_code']}", err=True)
        click.echo(f"It must show the code {asked['user_code']}. Waiting for you to allow it ...", err=True)
        made = _wait(client, asked)
    key = made["key"]
    path = keep(server, Kept(key["principal"], made["text"], key["expires"]))
    click.echo(f"logged in as {key['principal']} until {time_text(key['expires'])}; the key is in {path}", err=True)
    if as_json:
        print_json({"user": key["principal"], "expires": key["expires"], "file": str(path), "prefix": key["prefix"]})
    elif print_key:
        click.echo(made["text"])
    else:
        host = urlsplit(server).netloc
        click.echo(f"for containers: docker login -u {key['principal']} {host}, and the key of --print-key", err=True)


def _wait(client: Client, asked: dict[str, Any]) -> dict[str, Any]:
    """Poll until somebody has answered (RFC 8628, 3.5); raises what ends it.

    A server that cannot be reached for a moment is asked again, less often each time.
    """
    from registry.cli.client import Refused  # noqa: PLC0415 - only who runs a command waits for its imports

    interval, end = float(asked["interval"]), time.monotonic() + asked["expires_in"]
    while time.monotonic() < end:
        time.sleep(interval)
        try:
            made: dict[str, Any] = client.send("POST", "/logins/poll", {"poll_secret": asked["poll_secret"]})
        except Refused as refusal:
            if refusal.code not in _WAITING:
                raise
            interval += _SLOWER_SECONDS if refusal.code != _WAITING[0] else 0
        except click.ClickException:
            interval *= 2
        else:
            return made
    raise click.ClickException("nobody allowed it in time: run moorage login again")


def _host() -> str:
    shown = "".join(letter for letter in socket.gethostname() if letter.isprintable())
    return shown[:_LONGEST_HOST] or "a machine without a name"
