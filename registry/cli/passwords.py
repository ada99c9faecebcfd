"""Passwords for users: asked for, read, or made; never an argument, which everybody on the machine could see."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass

import click

from registry.cli.common import FlagRefused
from registry.cli.connecting import somebody_is_there

_BYTES = 18
stdin_flag = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
generate_flag = click.option("--generate", is_flag=True, help="Make a password, and print it this once.")
no_password_flag = click.option("--no-password", is_flag=True, help="None: it logs in with keys alone.")
htpasswd_flag = click.option("--htpasswd", is_flag=True, help="It is in the file of the setting htpasswd.")


@dataclass(frozen=True)
class Chosen:
    """A password, None for none; one that was ``made`` here has to be told to its user."""

    password: str | None
    made: bool = False


def choose_password(*, from_stdin: bool, generate: bool, none: bool = False) -> Chosen:
    """Return the password that flags or somebody at the terminal say; raises :class:`FlagRefused`."""
    if from_stdin + generate + none > 1:
        raise FlagRefused("--password-stdin, --generate, --no-password: give one of them, or none to be asked")
    if none:
        return Chosen(None)
    if generate:
        return Chosen(secrets.token_urlsafe(_BYTES), made=True)
    if from_stdin:
        return Chosen(sys.stdin.read().rstrip("\r\n"))
    if not somebody_is_there():
        raise FlagRefused("nobody is here to type a password: say --password-stdin or --generate")
    return Chosen(str(click.prompt("Password", hide_input=True, confirmation_prompt="Once more")))
