"""Nothing is lost, and nothing is sealed twice: whoever dies, and however many seal at once."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from registry.access.actors import Actor
from registry.app import create_app
from registry.audit import sealing
from registry.audit.entries import write
from registry.audit.sealing import Sealer
from registry.errors import Unavailable
from registry.schema import upgrade
from registry.settings import Settings
from tests.support.asking import world
from tests.support.auditing import Log, kinds
from tests.support.ports import PATIENCE, wait_until
from tests.support.scale import scaled

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

URLS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_tools)]


@pytest.fixture(params=URLS)
def place(request, tmp_path):
    """Give the data folder and the URL of an empty database."""
    url = f"sqlite:///{tmp_path / 'moorage.db'}"
    server = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.create_database("audit")
    app = create_app(Settings(data=tmp_path, database_url=url))
    upgrade(app)
    app.extensions["moorage"].database.close_idle()
    yield tmp_path, url
    if server is not None:
        server.drop_database("audit")


@pytest.fixture
def there(place):
    data, url = place
    with world(data, database_url=url, storage_url=f"file://{data}/storage") as made:
        yield made


def entries(services, count, kind="tried"):
    """Write entries, each with a number."""

    def work(connection):
        for number in range(count):
            write(services.database, connection, Actor("x"), kind, str(number))

    services.database.write(work)


def test_more_than_fits_at_once_is_sealed_in_order(there, monkeypatch):
    monkeypatch.setattr(sealing, "_WAITING", sealing._WAITING.limit(7))
    log = Log(there.services)
    entries(there.services, 30)
    there.push("team/app", "v1")
    while there.rows("SELECT 1 FROM audit_entry"):
        log.seal()
    found = log.sealed()
    assert [one["reference"] for one in found if one["kind"] == "tried"] == [str(number) for number in range(30)]
    assert log.breaks() == []


def test_two_that_seal_at_once_make_one_chain(there):
    services = there.services
    entries(services, 200)
    sealer = Sealer(services.database)
    start = threading.Barrier(3)

    def seal():
        start.wait()
        while services.database.write(sealer.seal) or sealer.waits():
            pass

    threads = [threading.Thread(target=seal) for _ in range(2)]
    for thread in threads:
        thread.start()
    start.wait()
    entries(services, 200, "meanwhile")
    for thread in threads:
        thread.join()
    log = Log(services)
    found = log.all()
    assert Counter(kinds(found)) >= Counter({"tried": 200, "meanwhile": 200})
    assert len({(one["kind"], one["reference"]) for one in found}) == len(found)
    assert log.breaks() == []


def test_a_worker_that_is_killed_loses_and_repeats_nothing(there, place):
    data, url = place
    services, log = there.services, Log(there.services)
    count, rounds = scaled(150), 4
    for number in range(rounds):
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.support.observing", url, str(data), str(data / "heard")],
            stdout=subprocess.DEVNULL,
        )
        try:
            before = len(log.sealed())
            entries(services, count, f"round{number}")
            there.push(f"team/app{number}", "v1")
            wait_until(lambda before=before: len(log.sealed()) > before, PATIENCE, "something is sealed")
            entries(services, count, f"more{number}")
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    there.clock.now = round(time.time() * 1000) + 3_600_000  # the lease of who was killed is over
    found = log.all()
    told = Counter(kinds(found))
    assert all(told[f"{kind}{number}"] == count for kind in ("round", "more") for number in range(rounds))
    assert (
        len({(one["kind"], one["reference"]) for one in found if one["kind"].startswith(("round", "more"))})
        == 2 * count * rounds
    )
    assert told["tag.changed"] == rounds
    assert log.breaks() == []


def test_what_cannot_be_written_now_waits(there, monkeypatch, caplog):
    services, log = there.services, Log(there.services)
    for _ in range(3):
        there.client.get("/v2/team/app/tags/list")
    right = services.database.write

    def fails(*_, **__):
        raise Unavailable("the disk is full")

    monkeypatch.setattr(services.database, "write", fails)
    services.notes.flush()
    there.client.get("/v2/team/app/tags/list")
    services.notes.flush()
    monkeypatch.setattr(services.database, "write", right)
    (denied,) = log.all()
    assert (denied["kind"], denied["count"]) == ("denied", 4)
    assert len([one for one in caplog.records if "audit log cannot be written" in one.message]) == 1


def test_a_defect_of_sealing_keeps_no_observer_waiting(there, monkeypatch, caplog):
    services = there.services
    placed = "SELECT 1 FROM outbox WHERE position IS NOT NULL"
    monkeypatch.setattr(Sealer, "seal", lambda *_: 1 / 0)
    dispatcher = services.dispatcher("worker")
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        there.push("team/app", "v1")
        wait_until(lambda: bool(there.rows(placed)), PATIENCE, "events get their positions")
        wait_until(lambda: any("cannot be sealed" in one.message for one in caplog.records), PATIENCE, "it is told")
    finally:
        dispatcher.stop()
        thread.join()
    monkeypatch.undo()
    there.clock.turn(seconds=3600)
    assert "manifest.pushed" in kinds(Log(services).all())


def test_a_running_worker_seals_within_seconds(there):
    services, log = there.services, Log(there.services)
    dispatcher = services.dispatcher("worker")
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        there.user("somebody")
        wait_until(lambda: "user.created" in kinds(log.sealed()), PATIENCE, "it is sealed")
    finally:
        dispatcher.stop()
        thread.join()
