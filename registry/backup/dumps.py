"""Tables as files that mean the same on every database: compressed lines of JSON, the first of which names the columns.

What the tables are is read from the models, so that no table and no column is ever forgotten.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path

from sqlalchemy import Boolean, Column, Connection, Integer, LargeBinary, String, Table, select

from registry.backup.catalogue import BackupUnusable, DumpedTable, table_name
from registry.backup.objects import Objects
from registry.hooks.ports import KeyMissing

_AT_ONCE = 50
"""So many rows are held in memory: a manifest has 4 MiB at most."""
_PIECE = 1 << 20
_BYTES = "bytes"
_KINDS = ((Boolean, "bool"), (Integer, "int"), (String, "text"), (LargeBinary, _BYTES))
Row = dict[str, object]


def kind_of(column: Column[object]) -> str:
    """Return what a column holds, as the first line of a dump says it; raises :class:`TypeError`."""
    for kind, name in _KINDS:
        if isinstance(column.type, kind):
            return name
    raise TypeError(f"no backup knows how to keep the column {column}")


def dump(connection: Connection, table: Table, path: Path) -> DumpedTable:
    """Write a table as the caller's transaction sees it."""
    kinds = [kind_of(column) for column in table.columns]
    binary = [number for number, kind in enumerate(kinds) if kind == _BYTES]
    statement = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_AT_ONCE)
    rows = 0
    with gzip.open(path, "wb", compresslevel=6) as file:
        columns = [[column.name, kind] for column, kind in zip(table.columns, kinds, strict=True)]
        file.write(_line({"table": table.name, "columns": columns}))
        for row in connection.execute(statement):
            values = list(row)
            for number in binary:
                if values[number] is not None:
                    values[number] = base64.b64encode(values[number]).decode()
            file.write(_line(values))
            rows += 1
    hasher = hashlib.sha256()
    for piece in pieces_of(path):
        hasher.update(piece)
    return DumpedTable(table.name, rows, path.stat().st_size, hasher.hexdigest())


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def rows_of(objects: Objects, backup: str, dumped: DumpedTable) -> Iterator[Row]:
    """Yield the rows of a table; raises :class:`BackupUnusable`, at the end at the latest, where it is damaged."""
    damaged = BackupUnusable(f"table {dumped.name} of backup {backup} is damaged: use another backup")
    lines = _lines(objects, backup, dumped, damaged)
    try:
        header = json.loads(next(lines, b""))
        names, kinds = zip(*header["columns"], strict=True)
        binary = [name for name, kind in header["columns"] if kind == _BYTES]
        count = 0
        for line in lines:
            row = dict(zip(names, json.loads(line), strict=True))
            for name in binary:
                if row[name] is not None:
                    row[name] = base64.b64decode(row[name], validate=True)
            yield row
            count += 1
    except (ValueError, TypeError, KeyError) as error:
        raise damaged from error
    if count != dumped.rows or len(kinds) != len(names):
        raise damaged


def _lines(objects: Objects, backup: str, dumped: DumpedTable, damaged: BackupUnusable) -> Generator[bytes, None, None]:
    hasher, size = hashlib.sha256(), 0
    unpacker, rest = zlib.decompressobj(wbits=31), b""
    try:
        for piece in objects.read(table_name(backup, dumped.name)):
            hasher.update(piece)
            size += len(piece)
            *whole, rest = (rest + unpacker.decompress(piece)).split(b"\n")
            yield from whole
    except (KeyMissing, zlib.error) as error:
        raise damaged from error
    if (size, hasher.hexdigest()) != (dumped.size, dumped.sha256) or rest or not unpacker.eof:
        raise damaged


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
