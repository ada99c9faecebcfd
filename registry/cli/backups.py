"""What the commands of backups share: where backups are, and how failures are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.backup.catalogue import BackupUnusable
from registry.cli.common import FlagRefused, read_settings
from registry.cli.opening import told
from registry.storage.objects import FolderObjects

if TYPE_CHECKING:
    from registry.backup.objects import Objects

CANNOT = 3
_FILE = "file://"


def open_objects(place: str, config: object, *, make: bool = False) -> Objects:
    """Return the objects of a place: a folder, which is made where that is wanted, or ``s3://bucket/prefix``."""
    if place.startswith("s3://"):
        from registry.storage.s3_objects import BucketObjects  # noqa: PLC0415 - only who uses a bucket waits for boto3

        # Its options are those that a registry with its blobs there would have.
        return BucketObjects(place, read_settings({"config": config, "storage_url": place}).storage_options)
    path = place.removeprefix(_FILE)
    if "://" in path:
        raise FlagRefused(f"backups are kept in a folder or in s3://bucket/prefix, not in {place}")
    if not make and not Path(path).is_dir():
        raise click.ClickException(f"there is no folder {path}")
    return FolderObjects(Path(path))


@contextmanager
def unusable_told() -> Iterator[None]:
    """End the command with exit code 3 where it could do nothing, and say why."""
    try:
        with told():
            try:
                yield
            except BackupUnusable as error:
                raise click.ClickException(str(error)) from None
    except FlagRefused:
        raise
    except click.ClickException as failure:
        failure.show()
        raise SystemExit(CANNOT) from None
