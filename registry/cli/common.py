"""What the commands share and what costs nothing to import: flags, settings, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from registry.settings import Settings, SettingsError, load_settings

F = TypeVar("F", bound=Callable[..., Any])

json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
config_flag = click.option(
    "--config", metavar="FILE", help="Read this TOML file (default: moorage.toml, if there is one)."
)
safe_mode_flag = click.option(
    "--safe-mode", is_flag=True, default=None, help="Load no plugins but the built-in ones, to mend what others broke."
)
PLACE_FLAGS = (
    config_flag,
    click.option("--data", metavar="FOLDER", help="Folder of the database and the blobs (default: ./data)."),
    click.option("--database-url", metavar="URL", help="SQLAlchemy URL of the database (default: SQLite in --data)."),
    click.option("--storage-url", metavar="URL", help="Where blobs are kept (default: files in --data)."),
)


class FlagRefused(click.ClickException):
    """A flag whose value cannot be used, which is a mistake of usage."""

    exit_code = 2


def settings_flags(function: F) -> F:
    """Give a command the flags that say where the data is."""
    for option in reversed(PLACE_FLAGS):
        function = option(function)
    return function


def read_settings(flags: Mapping[str, object]) -> Settings:
    """Return the settings; raises :class:`FlagRefused` for bad flags only, else a plain failure."""
    try:
        return load_settings(flags)
    except SettingsError as error:
        of_flags = all(problem.startswith("--") for problem in error.problems)
        kind = FlagRefused if of_flags else click.ClickException
        raise kind("\n       ".join(error.problems)) from None


def print_json(value: object) -> None:
    """Print a value for programs."""
    click.echo(json.dumps(value, indent=2))
