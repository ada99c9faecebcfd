"""``moorage restore``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli.common import json_flag, print_json, read_settings, settings_flags

if TYPE_CHECKING:
    from flask import Flask

    from registry.backup.catalogue import Manifest
    from registry.backup.objects import Objects
    from registry.backup.restoring import Progress, Restored

_EPILOG = """\b
Exit codes:
  0  all was restored
  1  all was restored but blobs whose bytes the backup has not: they are in quarantine
  2  the command was used wrongly
  3  nothing could be restored: the registry is not empty, or the backup cannot be used

\b
Examples:
  moorage restore /mnt/backups --data /var/lib/moorage
  moorage restore s3://backups/moorage --database-url postgresql+psycopg://moorage@db/moorage
"""


@click.command("restore", epilog=_EPILOG)
@click.argument("source")
@settings_flags
@click.option("--backup", metavar="ID", help="This backup (default: the newest; `moorage backup list` tells them).")
@json_flag
def command(source: str, *, backup: str | None, as_json: bool, **flags: object) -> None:
    """Make a registry of a backup in SOURCE: a folder, or s3://bucket/prefix.

    The flags and settings say where it will be: in a database without rows, SQLite or PostgreSQL whichever the backup
    is from, and in any storage. A backup of an older Moorage is brought up to date. Run it again where it was cut off.
    """
    from registry.cli.backups import open_objects, unusable_told  # noqa: PLC0415 - only who runs it waits for imports
    from registry.cli.opening import open_app  # noqa: PLC0415 - the same
    from registry.cli.showing import shown_progress  # noqa: PLC0415 - the same

    settings = read_settings(flags)
    with unusable_told():
        objects = open_objects(source, flags["config"])
        manifest = _chosen(objects, backup)
        with shown_progress("restore") as progress:
            app = open_app(settings)
            try:
                done = _restore(app, objects, manifest, progress)
            finally:
                app.extensions["moorage"].database.close_idle()
    _tell(manifest, done, as_json=as_json)
    raise SystemExit(1 if done.damaged else 0)


def _chosen(objects: Objects, backup: str | None) -> Manifest:
    from registry.backup import catalogue  # noqa: PLC0415 - only who runs a command waits for its imports

    catalogue.require_place(objects)
    if backup is None:
        return catalogue.newest(objects)
    return catalogue.read_manifest(objects, catalogue.require_id(backup))


def _restore(app: Flask, objects: Objects, manifest: Manifest, progress: Progress) -> Restored:
    from registry import schema  # noqa: PLC0415 - only who runs a command waits for its imports
    from registry.backup.catalogue import BackupUnusable  # noqa: PLC0415 - the same
    from registry.backup.restoring import Restorer  # noqa: PLC0415 - the same

    if not schema.knows(app, manifest.revision):
        raise BackupUnusable(
            f"the backup is of a newer Moorage, {manifest.version} (schema {manifest.revision}): restore with that one"
        )
    restorer: Restorer = app.extensions["moorage"].restorer
    restorer.require_empty()
    if schema.status(app).current not in (None, manifest.revision):
        raise BackupUnusable(
            f"the backup has schema {manifest.revision}, and there are tables of another: give a database without any"
        )
    schema.upgrade(app, manifest.revision)
    stored = restorer.blobs(objects, manifest, progress)
    done = restorer.rows(objects, manifest, stored, progress)
    schema.upgrade(app)
    return done


def _tell(manifest: Manifest, done: Restored, *, as_json: bool) -> None:
    if as_json:
        counts = {"rows": done.rows, "blobs": done.blobs, "bytes": done.bytes, "stored": done.stored}
        print_json({"backup": manifest.id, "created": manifest.created, **counts, "damaged": list(done.damaged)})
        return
    from rich.filesize import decimal  # noqa: PLC0415 - only who runs a command waits for its imports

    click.echo(
        f"restored backup {manifest.id}, of {manifest.created}: {done.rows} rows and {done.blobs} blobs"
        f" ({decimal(done.bytes)}), of which {done.stored} had to be stored"
    )
    for digest in done.damaged:
        click.echo(f"blob {digest} is in quarantine: the backup has no right bytes of it; push it again", err=True)
