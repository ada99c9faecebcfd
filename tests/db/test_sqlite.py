"""SQLite as the registry opens it."""

import contextlib
import multiprocessing
import sqlite3
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from registry.app import create_app
from registry.db import sqlite
from registry.db.engine import Conflict
from registry.errors import Unavailable
from registry.schema import upgrade
from registry.settings import Settings
from registry.testing.images import simple_image
from tests.support.direct import Direct, ManualClock

PROCESSES, WRITES = 4, 25


@pytest.fixture
def open_app(tmp_path):
    """Give the function that opens the test's database."""
    made = []

    def start():
        app = create_app(Settings(data=tmp_path, storage_url=f"file://{tmp_path / 'storage'}"), clock=ManualClock())
        made.append(app)
        return Direct(app, ManualClock())

    yield start
    for app in made:
        app.extensions["moorage"].database.close_idle()


def pragma(connection, name: str) -> object:
    return connection.execute(text(f"PRAGMA {name}")).scalar()


def test_connections_are_durable_and_keep_foreign_keys(open_app):
    database = open_app().services.database
    with database.read() as connection:
        found = {name: pragma(connection, name) for name in ("journal_mode", "synchronous", "foreign_keys")}
    journal = "wal" if sqlite.wal_is_safe(sqlite.library()) else "truncate"
    assert found == {"journal_mode": journal, "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize(
    ("version", "journal"),
    [((3, 51, 3), "wal"), ((3, 51, 2), "truncate"), ((3, 40, 1), "truncate"), ((4, 0, 0), "wal")],
)
def test_the_log_is_used_only_where_the_library_is_safe(tmp_path, version, journal):
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    sqlite.prepare(connection, SimpleNamespace(sqlite_version_info=version), read_only=False)
    assert connection.execute("PRAGMA journal_mode").fetchone() == (journal,)
    connection.close()


def test_an_old_library_falls_back_in_a_whole_app(open_app, monkeypatch):
    monkeypatch.setattr(sqlite, "SAFE_WAL", (99, 0, 0))
    direct = open_app()
    upgrade(direct.app)
    direct.push(simple_image("a"), "v1")
    with direct.services.database.read() as connection:
        assert pragma(connection, "journal_mode") == "truncate"


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_writes_begin_immediate_and_are_flushed_unless_said_otherwise(open_app, durable, level):
    direct = open_app()
    upgrade(direct.app)
    path = direct.services.settings.data / "moorage.db"

    def work(connection):
        other = sqlite.library().connect(path, timeout=0, isolation_level=None)
        with contextlib.closing(other), pytest.raises(sqlite.library().OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        return pragma(connection, "synchronous")

    assert direct.services.database.write(work, durable=durable) == level


def write_rows(data, number: int, failures) -> None:
    """Write as one of several processes; every work reads first, which a deferred transaction would fail at."""
    direct = Direct(create_app(Settings(data=data, storage_url="memory:")), ManualClock())

    def work(connection):
        count = connection.execute(text("SELECT count(*) FROM namespace")).scalar_one()
        connection.execute(text("INSERT INTO namespace (name) VALUES (:name)"), {"name": f"{number}-{count}"})

    for _ in range(WRITES):
        try:
            direct.services.database.write(work)
        except Exception as error:  # noqa: BLE001 - counted by the test
            failures.put(repr(error))


@pytest.mark.needs_tools  # it needs none, but takes long
def test_several_processes_write_without_a_failure(open_app, tmp_path):
    upgrade(open_app().app)
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    children = [context.Process(target=write_rows, args=(tmp_path, number, failures)) for number in range(PROCESSES)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * PROCESSES
    assert failures.empty()
    assert open_app().column("SELECT count(*) FROM namespace") == [PROCESSES * WRITES]


def test_a_conflict_is_tried_again_and_then_told(open_app):
    direct = open_app()
    upgrade(direct.app)
    attempts = []

    def work(connection):
        attempts.append(connection)
        if len(attempts) < 3:
            raise Conflict
        return "done"

    assert direct.services.database.write(work) == "done"
    assert len(attempts) == 3

    def lose(connection):
        raise Conflict

    with pytest.raises(Unavailable, match="try again"):
        direct.services.database.write(lose)


def test_a_failed_work_leaves_nothing_and_the_connection_goes_on(open_app):
    direct = open_app()
    upgrade(direct.app)

    def work(connection):
        connection.execute(text("INSERT INTO namespace (name) VALUES ('x')"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        direct.services.database.write(work)
    assert direct.column("SELECT count(*) FROM namespace") == [0]
    direct.push(simple_image("a"), "v1")


@pytest.mark.parametrize("name", ["a b", "a%20b", "a?b", "a#b", "a&b=c"])
def test_a_data_folder_may_have_any_name(tmp_path, monkeypatch, name):
    (tmp_path / "a b").mkdir()  # what the second name would be, read as a part of a URL
    data = tmp_path / name
    data.mkdir(exist_ok=True)
    made = simple_image("a")
    for read_only in (False, True):
        monkeypatch.setattr(sqlite, "is_read_only", lambda path, answer=read_only: answer)
        direct = Direct(create_app(Settings(data=data), clock=ManualClock()), ManualClock())
        if not read_only:
            upgrade(direct.app)
            direct.push(made, "v1")
        assert direct.get("v1").payload == made.data
        assert direct.blob_bytes(made.config.digest) == made.config.data
        direct.services.database.close_idle()
    assert {path.name for path in data.iterdir()} == {"moorage.db", "storage"}


def test_a_read_only_database_serves_pulls_and_tells_writers(open_app, monkeypatch):
    direct = open_app()
    upgrade(direct.app)
    made = simple_image("a")
    direct.push(made, "v1")
    direct.services.database.close_idle()
    monkeypatch.setattr(sqlite, "is_read_only", lambda path: True)
    closed = open_app()
    assert closed.get("v1").payload == made.data
    assert closed.blob_bytes(made.config.digest) == made.config.data
    with pytest.raises(Unavailable):
        closed.push(simple_image("b"), "v2")
    assert closed.tags() == ["v1"]


def test_a_read_only_folder_with_a_full_log_is_refused_with_the_way_out(tmp_path, monkeypatch):
    path = tmp_path / "moorage.db"
    path.write_bytes(b"x")
    assert not sqlite.is_read_only(path)
    monkeypatch.setattr(sqlite.os, "access", lambda *_: False)
    assert sqlite.is_read_only(path)
    path.with_name("moorage.db-wal").write_bytes(b"x")
    with pytest.raises(sqlite.ReadOnlyDatabaseWithLog, match="mount it writable once"):
        sqlite.is_read_only(path)


@pytest.mark.parametrize("database", ["", ":memory:", None])
def test_a_database_in_memory_is_refused(database):
    with pytest.raises(ValueError, match="needs a file"):
        sqlite.database_path(database)
