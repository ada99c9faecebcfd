"""What lies in a place of backups, and where.

``moorage-backup.json`` marks the place. A backup is a folder below ``backups/``: ``tables/NAME.jsonl.gz`` a table,
``manifest.json``, written last and so there only if all is, and ``under-way.json`` while it is being made. Blobs are
below ``blobs/`` by their digests, shared by all backups.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from registry.backup.objects import Objects, read_all
from registry.digest import Digest
from registry.hooks.ports import KeyMissing

FORMAT = 1
_MARK = "moorage-backup.json"
BLOBS, BACKUPS = "blobs", "backups"
UNDER_WAY = "under-way.json"
PRUNING = "pruning.json"
MANIFEST = "manifest.json"
_ID = re.compile(r"\d{8}T\d{9}Z-[0-9a-f]{8}")
_TABLE = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 64 << 20
_SEAL = "sha256"


class BackupUnusable(Exception):
    """The place or the backup is not what it must be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class DumpedTable:
    """A table as it was dumped: how many rows, how many bytes it is as a file, and their SHA-256."""

    name: str
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    ``revision`` is that of the schema, ``tables`` come in an order in which they can be loaded. ``unreadable`` are
    the digests of blobs that the registry had no right bytes of.
    """

    id: str
    created: str
    version: str
    revision: str
    database: str
    tables: Sequence[DumpedTable]
    blobs: int
    bytes: int
    unreadable: Sequence[str]
    format: int = FORMAT

    @property
    def rows(self) -> int:
        """The number of rows of all tables."""
        return sum(table.rows for table in self.tables)


def blob_name(digest: Digest) -> str:
    """Return where a blob is."""
    return f"{BLOBS}/{digest.algorithm}/{digest.encoded[:2]}/{digest.encoded}"


def table_name(backup: str, table: str) -> str:
    """Return where a table of a backup is."""
    return f"{BACKUPS}/{backup}/tables/{table}.jsonl.gz"


def inside(backup: str, name: str) -> str:
    """Return where something of a backup is."""
    return f"{BACKUPS}/{backup}/{name}"


def write_manifest(objects: Objects, manifest: Manifest) -> None:
    """End a backup: from now on it is whole."""
    fields = {**asdict(manifest), "tables": [asdict(table) for table in manifest.tables]}
    sealed = {**fields, _SEAL: _seal(fields)}
    objects.put(inside(manifest.id, MANIFEST), [json.dumps(sealed, indent=1).encode()])


def read_manifest(objects: Objects, backup: str) -> Manifest:
    """Return what a whole backup holds; raises :class:`BackupUnusable`, also where it is none."""
    try:
        fields = json.loads(read_all(objects, inside(backup, MANIFEST), _LONGEST))
        seal = fields.pop(_SEAL, "")
        if fields.get("format", 0) > FORMAT:
            raise BackupUnusable(f"backup {backup} is of a newer Moorage, {fields.get('version')}: use that one")
        if seal != _seal(fields):
            raise BackupUnusable(f"the manifest of backup {backup} is damaged: use another backup")
        tables = tuple(DumpedTable(**table) for table in fields.pop("tables"))
        manifest = Manifest(**{**fields, "tables": tables, "unreadable": tuple(fields["unreadable"])})
    except KeyMissing:
        raise BackupUnusable(f"backup {backup} was never ended, or is not there") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BackupUnusable(f"the manifest of backup {backup} is damaged ({error}): use another backup") from None
    if manifest.id != backup or not all(_TABLE.fullmatch(table.name) for table in tables):
        raise BackupUnusable(f"the manifest of backup {backup} is that of another: use another backup")
    return manifest


def backups(objects: Objects) -> Mapping[str, bool]:
    """Return the ids of all backups, oldest first, and whether each was ended."""
    names = {name for name, _ in objects.listed(BACKUPS)}
    found = sorted({name.split("/")[1] for name in names})
    return {backup: inside(backup, MANIFEST) in names for backup in found if _ID.fullmatch(backup)}


def newest(objects: Objects) -> Manifest:
    """Return the newest whole backup; raises :class:`BackupUnusable` where there is none."""
    whole = [backup for backup, ended in backups(objects).items() if ended]
    if not whole:
        raise BackupUnusable("no backup there was ever ended")
    return read_manifest(objects, whole[-1])


def new_id(now_ms: int) -> str:
    """Return an id for a backup, by the time: ids sort as backups were made."""
    return f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%dT%H%M%S}{now_ms % 1000:03}Z-{secrets.token_hex(4)}"


def require_id(text: str) -> str:
    """Return the id of a backup; raises :class:`BackupUnusable` for what is none."""
    if not _ID.fullmatch(text):
        raise BackupUnusable(f"{text!r} is no id of a backup: moorage backup list tells them")
    return text


def require_place(objects: Objects) -> None:
    """Raise :class:`BackupUnusable` where no backup was ever made."""
    if not _is_place(objects):
        raise BackupUnusable("no backups are there: is that the right place?")


def prepare_place(objects: Objects) -> None:
    """Make a place of backups where nothing is; raises :class:`BackupUnusable` where other things are."""
    if _is_place(objects):
        return
    if next(objects.listed(""), None) is not None:
        raise BackupUnusable("other things than backups are there: name an empty place")
    objects.put(_MARK, [json.dumps({"format": FORMAT}).encode()])


def _is_place(objects: Objects) -> bool:
    try:
        newest_format = json.loads(read_all(objects, _MARK, _LONGEST))["format"]
    except KeyMissing:
        return False
    except (ValueError, TypeError, KeyError):
        raise BackupUnusable(f"{_MARK} is damaged: put {json.dumps({'format': FORMAT})} into it") from None
    if newest_format != FORMAT:
        raise BackupUnusable("these backups are of a newer Moorage: use that one")
    return True


def sizes_of_blobs(objects: Objects) -> Mapping[str, int]:
    """Return the length of every blob that is there, by its name."""
    return dict(objects.listed(BLOBS))


def _seal(fields: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
