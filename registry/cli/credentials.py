"""Who the command line is to a server: told by the environment, or kept by ``moorage login``.

There is no flag for it: those are seen by everybody on the machine.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import click

from registry.cli.common import FlagRefused
from registry.cli.kept import find_kept
from registry.setting_sources import KEY_VARIABLE, PASSWORD_VARIABLE, USER_VARIABLE
from registry.setting_values import is_loopback

WAYS = f"{USER_VARIABLE} and {PASSWORD_VARIABLE}, or {KEY_VARIABLE}"
LOGIN = "or log in with a browser: moorage login --server URL"


def credentials_for(server: str, environ: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """Return the headers that tell ``server`` who asks: none where neither the environment nor a login names anybody.

    Raises :class:`FlagRefused` for what cannot be used, and warns where the network could read along.
    """
    refuse_credentials_in(server)
    user, password, key = _of_environment(environ)
    if not (password or key):
        key = _kept_key(server)
    if not (password or key):
        return {}
    warn_of_plain_http(server)
    if user:
        pair = base64.b64encode(f"{user}:{password or key}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise FlagRefused(f"{KEY_VARIABLE} holds no API key: one is like mk_..., and made by moorage key add")
    return {"Authorization": f"Bearer {key}"}


def refuse_credentials_in(server: str) -> None:
    """Raise :class:`FlagRefused` for an address with a name or a password in it."""
    parts = urlsplit(server)
    if parts.username is not None or parts.password is not None:
        raise FlagRefused(f"--server: credentials do not belong into it; give {WAYS} in the environment")


def warn_of_plain_http(server: str) -> None:
    """Warn where credentials would cross the network in the clear."""
    parts = urlsplit(server)
    if parts.scheme == "http" and not is_loopback(f"{parts.hostname}:{parts.port or 80}"):
        click.echo(f"warning: {parts.hostname} is asked without TLS: the network can read the credentials", err=True)


def _of_environment(environ: Mapping[str, str]) -> tuple[str, str, str]:
    """Return the user, the password and the API key; each may be empty."""
    user, password = environ.get(USER_VARIABLE, ""), environ.get(PASSWORD_VARIABLE, "")
    key = environ.get(KEY_VARIABLE, "").strip()
    if password and key:
        raise FlagRefused(f"{PASSWORD_VARIABLE} and {KEY_VARIABLE} are both set: give one of them")
    if user and not (password or key):
        raise FlagRefused(f"{USER_VARIABLE} is set, but neither {PASSWORD_VARIABLE} nor {KEY_VARIABLE}")
    if password and not user:
        raise FlagRefused(f"{PASSWORD_VARIABLE} is set, but not {USER_VARIABLE}")
    if ":" in user:
        raise FlagRefused(f"{USER_VARIABLE}: no user's name has a colon")
    return user, password, key


def _kept_key(server: str) -> str:
    """Return the key that a login has kept for a server, empty where there is none that is still good."""
    kept = find_kept(server)
    if kept is None:
        return ""
    try:
        over = datetime.fromisoformat(kept.expires) <= datetime.now(UTC)
    except (ValueError, TypeError):
        over = False  # the server will tell
    if over:
        click.echo(f"warning: the login as {kept.user} has expired: moorage login --server {server}", err=True)
        return ""
    return kept.key
