"""What SQLite needs to be safe under several threads and processes.

The write-ahead log of SQLite 3.7.0 to 3.51.2 can corrupt a database when it is reset while another connection
checkpoints (sqlite.org, release notes of 3.51.3), so an older library falls back to the rollback journal.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import time
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection

SAFE_WAL = (3, 51, 3)
BUSY_TIMEOUT_SECONDS = 10
_WAITS_HERE = "waits here"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0001, 0.002
_CACHE_KIB = 8192
_MMAP_BYTES = 256 * 1024 * 1024


def library() -> ModuleType:
    """Return the newest SQLite at hand: ``pysqlite3``, which brings its own, else the interpreter's."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return sqlite3


def wal_is_safe(module: ModuleType) -> bool:
    """Tell whether this SQLite may use a write-ahead log."""
    version: tuple[int, int, int] = module.sqlite_version_info
    return version >= SAFE_WAL


class ReadOnlyDatabaseWithLog(RuntimeError):
    """The database lies on a read-only mount with changes that are still in its log."""


def is_read_only(path: Path) -> bool:
    """Tell whether an existing database lies where nothing can be written.

    Raises :class:`ReadOnlyDatabaseWithLog` where opening it so would lose acknowledged changes.
    """
    if not path.exists() or os.access(path.parent, os.W_OK):
        return False
    for suffix in ("-wal", "-journal"):
        log = path.with_name(path.name + suffix)
        if log.exists() and log.stat().st_size:
            raise ReadOnlyDatabaseWithLog(
                f"{path} is on a read-only mount and {log.name} holds changes that must be written back first: "
                "mount it writable once and start the registry, then stop it"
            )
    return True


def database_path(database: str | None) -> Path:
    """Return the database's file; raises :class:`ValueError` for one in memory, which no two workers share."""
    if not database or database == ":memory:":
        raise ValueError("an SQLite database needs a file: sqlite:////path/to/moorage.db")
    return Path(database)


def url_of(url: URL, path: Path, *, read_only: bool) -> URL:
    """Return the URL to open ``path`` with; on a read-only mount SQLite must be told that nobody writes."""
    if not read_only:
        return url
    return url.set(database=f"file:{quote(str(path))}", query={"immutable": "1", "uri": "true"})


def connect_args() -> dict[str, Any]:
    """Return the driver's arguments."""
    return {
        "check_same_thread": False,
        "timeout": BUSY_TIMEOUT_SECONDS,
        "isolation_level": None,
        "cached_statements": 256,
    }


def prepare(connection: Any, module: ModuleType, *, read_only: bool) -> None:  # noqa: ANN401 - a DB-API connection
    """Set up a new connection: durable commits, foreign keys, a mapped file and a page cache."""
    cursor = connection.cursor()
    if not read_only:
        cursor.execute(f"PRAGMA journal_mode={'WAL' if wal_is_safe(module) else 'TRUNCATE'}")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA mmap_size={_MMAP_BYTES}")
    cursor.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.close()


def begin_immediate(connection: Connection) -> None:
    """Become the one writer: a deferred transaction that turns into one fails when another was faster.

    SQLite's own way to wait sleeps for up to a tenth of a second while the lock may be free again after one commit;
    with a write-ahead log only this statement ever waits, so it is repeated here in short steps.
    """
    if _WAITS_HERE not in connection.info:
        connection.info[_WAITS_HERE] = connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        if connection.info[_WAITS_HERE]:
            connection.exec_driver_sql("PRAGMA busy_timeout=0")
    driver: Any = connection.connection.driver_connection
    failures: type[Exception] = connection.dialect.loaded_dbapi.Error
    give_up, pause = time.monotonic() + BUSY_TIMEOUT_SECONDS, _FIRST_PAUSE
    while connection.info[_WAITS_HERE] and time.monotonic() < give_up:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except failures as error:
            if "locked" not in str(error):
                break
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        else:
            return
    connection.exec_driver_sql("BEGIN IMMEDIATE")
