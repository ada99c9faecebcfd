"""``moorage db``: the schema of the database."""

from __future__ import annotations

from dataclasses import asdict

import click

from registry import schema
from registry.cli.common import json_flag, print_json, read_settings, settings_flags
from registry.cli.opening import inspected, open_app, told
from registry.setting_values import hide_password
from registry.settings import Settings


@click.group("db")
def command() -> None:
    """Look after the database's schema."""


@command.command("upgrade", epilog="\b\nExample:\n  moorage db upgrade --data /var/lib/moorage")
@settings_flags
def upgrade(**flags: object) -> None:
    """Apply all pending migrations; `moorage serve` does it by itself."""
    settings = read_settings(flags)
    with told():
        app = open_app(settings)
        before = schema.status(app)
        schema.upgrade(app)
        count, head = len(before.pending), schema.status(app).head
    click.echo(f"{_schema_of(settings)} is at {head}; migrations applied: {count}")


@command.command(
    "status", short_help="Show where the schema stands.", epilog="\b\nExample:\n  moorage db status --json"
)
@settings_flags
@json_flag
def status(*, as_json: bool, **flags: object) -> None:
    """Show where the schema stands; ends with exit code 1 where migrations are pending."""
    settings = read_settings(flags)
    with told(), inspected(settings) as app:
        found = schema.status(app)
    if as_json:
        print_json(asdict(found))
    elif found.pending:
        stands = f"is at {found.current}" if found.current else "is empty"
        click.echo(f"{_schema_of(settings)} {stands}; pending: {', '.join(found.pending)}")
        click.echo("apply them with: moorage db upgrade")
    else:
        click.echo(f"{_schema_of(settings)} is up to date at {found.head}")
    if found.pending:
        raise SystemExit(1)


def _schema_of(settings: Settings) -> str:
    return f"the schema of {hide_password(settings.database_url)}"
