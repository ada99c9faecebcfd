"""Who the command line is to a server: told by the environment alone, as a flag is seen by everybody on the machine."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import click

from registry.cli.common import FlagRefused
from registry.setting_sources import KEY_VARIABLE, PASSWORD_VARIABLE, USER_VARIABLE
from registry.setting_values import is_loopback

WAYS = f"{USER_VARIABLE} and {PASSWORD_VARIABLE}, or {KEY_VARIABLE}"


def credentials_for(server: str, environ: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """Return the headers that tell ``server`` who asks: none where the environment names nobody.

    Raises :class:`FlagRefused` for what cannot be used, and warns where the network could read along.
    """
    parts = urlsplit(server)
    if parts.username is not None or parts.password is not None:
        raise FlagRefused(f"--server: credentials do not belong into it; give {WAYS} in the environment")
    user, password = environ.get(USER_VARIABLE, ""), environ.get(PASSWORD_VARIABLE, "")
    key = environ.get(KEY_VARIABLE, "").strip()
    if password and key:
        raise FlagRefused(f"{PASSWORD_VARIABLE} and {KEY_VARIABLE} are both set: give one of them")
    if not (password or key):
        if user:
            raise FlagRefused(f"{USER_VARIABLE} is set, but neither {PASSWORD_VARIABLE} nor {KEY_VARIABLE}")
        return {}
    if password and not user:
        raise FlagRefused(f"{PASSWORD_VARIABLE} is set, but not {USER_VARIABLE}")
    if ":" in user:
        raise FlagRefused(f"{USER_VARIABLE}: no user's name has a colon")
    if parts.scheme == "http" and not is_loopback(f"{parts.hostname}:{parts.port or 80}"):
        click.echo(f"warning: {parts.hostname} is asked without TLS: the network can read the credentials", err=True)
    if user:
        pair = base64.b64encode(f"{user}:{password or key}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise FlagRefused(f"{KEY_VARIABLE} holds no API key: one is like mk_..., and made by moorage key add")
    return {"Authorization": f"Bearer {key}"}
