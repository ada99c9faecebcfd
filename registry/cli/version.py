"""``moorage version``."""

from __future__ import annotations

import platform
from importlib.metadata import version

import click

from registry.cli.common import json_flag, print_json


@click.command("version")
@json_flag
def command(*, as_json: bool) -> None:
    """Print the version."""
    found = {"version": version("moorage"), "python": platform.python_version()}
    if as_json:
        print_json(found)
    else:
        click.echo(f"moorage {found['version']} (Python {found['python']})")
