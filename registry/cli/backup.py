"""``moorage backup``."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from registry.access.actors import OPERATOR, Actor
from registry.cli.common import config_flag, json_flag, print_json, read_settings, settings_flags
from registry.cli.connecting import confirm, print_items, yes_flag

if TYPE_CHECKING:
    from registry.backup.making import Made

_MAKE = "make"
_EPILOG = """\b
Exit codes:
  0  all is well
  1  blobs are damaged: in the registry (make), or in the backup (verify)
  2  the command was used wrongly
  3  nothing could be done: no place, no database, a backup that cannot be used

\b
Examples:
  moorage backup /mnt/backups
  moorage backup s3://backups/moorage --json
  moorage backup list /mnt/backups
  moorage backup verify /mnt/backups
  moorage backup prune /mnt/backups --keep 14 --yes
"""


class _Backups(click.Group):
    """A group whose command ``make`` need not be named: what is no other command's name is where to keep a backup."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``make`` before a place."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_MAKE, *args]
        return super().parse_args(ctx, args)


@click.group("backup", cls=_Backups, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Copy the database and the blobs to a folder or a bucket, and look after such backups.

    `moorage backup TARGET` makes a backup, also while servers run: one state of the database, and all blobs that it
    names. TARGET is a folder or s3://bucket/prefix. Blobs that are there already are not copied again.

    A backup holds all secrets of the registry: keys that sign tokens, hashes of passwords and keys.
    """


@command.command(_MAKE, short_help="Make a backup: the same as moorage backup TARGET.", epilog=_EPILOG)
@click.argument("target")
@settings_flags
@click.option("--verify", is_flag=True, help="Read blobs again that are there already, and replace damaged ones.")
@json_flag
def make(target: str, *, verify: bool, as_json: bool, **flags: object) -> None:
    """Make a backup in TARGET: a folder, or s3://bucket/prefix with the credentials of the registry's own S3 storage.

    While it is made, nobody removes blobs; pushes, pulls and deletions go on. A backup that is cut off counts for
    nothing; the next one goes on with what it copied.
    """
    from registry.cli.backups import open_objects, unusable_told  # noqa: PLC0415 - only who runs it waits for imports
    from registry.cli.local import opened_app  # noqa: PLC0415 - the same
    from registry.cli.showing import shown_progress  # noqa: PLC0415 - the same

    settings = read_settings(flags)
    started = time.monotonic()
    with unusable_told(), opened_app(settings) as app, shown_progress("backup") as progress:
        objects = open_objects(target, flags["config"], make=True)
        made: Made = app.extensions["moorage"].backups.make(Actor(OPERATOR), objects, verify=verify, progress=progress)
    _tell(made, time.monotonic() - started, as_json=as_json)
    raise SystemExit(1 if made.manifest.unreadable else 0)


@command.command(
    "list", short_help="List the backups in a place.", epilog="\b\nExample:\n  moorage backup list /mnt/backups"
)
@click.argument("target")
@config_flag
@json_flag
def list_backups(target: str, *, config: str | None, as_json: bool) -> None:
    """List the backups in TARGET, oldest first; those that were never ended can go with `moorage backup prune`."""
    from registry.backup.checking import listed  # noqa: PLC0415 - only who runs a command waits for its imports
    from registry.cli.backups import open_objects, unusable_told  # noqa: PLC0415 - the same

    with unusable_told():
        found = listed(open_objects(target, config))
    items = [
        {
            "id": one.id,
            "state": one.state,
            "created": one.manifest.created if one.manifest else None,
            "version": one.manifest.version if one.manifest else None,
            "schema": one.manifest.revision if one.manifest else None,
            "database": one.manifest.database if one.manifest else None,
            "rows": one.manifest.rows if one.manifest else None,
            "blobs": one.manifest.blobs if one.manifest else None,
            "bytes": one.manifest.bytes if one.manifest else None,
            "unreadable": len(one.manifest.unreadable) if one.manifest else None,
        }
        for one in found
    ]
    print_items(items, {name: name for name in items[0]} if items else {"id": "id"}, as_json=as_json)


@command.command(
    "verify",
    short_help="Read backups through, and tell what is damaged.",
    epilog="\b\nExample:\n  moorage backup verify /mnt/backups",
)
@click.argument("target")
@click.option("--backup", metavar="ID", help="Only this one (default: all).")
@config_flag
@json_flag
def verify_backups(target: str, *, backup: str | None, config: str | None, as_json: bool) -> None:
    """Read all that the backups in TARGET need, and compare it with their digests; a blob that several need once."""
    from registry.backup.checking import verify  # noqa: PLC0415 - only who runs a command waits for its imports
    from registry.cli.backups import open_objects, unusable_told  # noqa: PLC0415 - the same
    from registry.cli.showing import shown_progress  # noqa: PLC0415 - the same

    with unusable_told(), shown_progress("verify") as progress:
        found = verify(open_objects(target, config), backup, progress)
    if as_json:
        print_json(asdict(found))
    else:
        for line in found.wrong:
            click.echo(line)
        click.echo(f"read {found.backups} backups with {found.blobs} blobs: {len(found.wrong) or 'nothing'} wrong")
    raise SystemExit(1 if found.wrong else 0)


@command.command(
    "prune",
    short_help="Remove old backups, and blobs that no other needs.",
    epilog="\b\nExample:\n  moorage backup prune /mnt/backups --keep 14 --yes",
)
@click.argument("target")
@click.option("--keep", type=click.IntRange(1), required=True, metavar="N", help="Keep the newest N whole backups.")
@yes_flag
@config_flag
@json_flag
def prune_backups(target: str, *, keep: int, yes: bool, config: str | None, as_json: bool) -> None:
    """Remove all backups in TARGET but the newest, those never ended, and blobs that none of the rest needs."""
    from registry.backup.checking import prune  # noqa: PLC0415 - only who runs a command waits for its imports
    from registry.cli.backups import open_objects, unusable_told  # noqa: PLC0415 - the same

    confirm(f"Remove all backups in {target} but the newest {keep}?", yes=yes)
    with unusable_told():
        done = prune(open_objects(target, config), keep)
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(f"removed {len(done.backups)} backups and {done.blobs} blobs ({done.bytes} bytes)")


def _tell(made: Made, seconds: float, *, as_json: bool) -> None:
    manifest = made.manifest
    if as_json:
        told = {"id": manifest.id, "created": manifest.created, "schema": manifest.revision, "rows": manifest.rows}
        blobs = {"blobs": manifest.blobs, "bytes": manifest.bytes}
        copied = {"copied": made.copied, "copied_bytes": made.copied_bytes, "seconds": round(seconds, 3)}
        print_json({**told, **blobs, **copied, "unreadable": list(manifest.unreadable)})
        return
    from rich.filesize import decimal  # noqa: PLC0415 - only who runs a command waits for its imports

    click.echo(
        f"backup {manifest.id}: {manifest.rows} rows and {manifest.blobs} blobs ({decimal(manifest.bytes)});"
        f" {made.copied} blobs ({decimal(made.copied_bytes)}) were copied, the others were there"
    )
    for digest in manifest.unreadable:
        click.echo(f"blob {digest} is damaged or missing in the registry, and not in the backup", err=True)
