"""Events between processes: a worker killed between telling and remembering, and streams of a real server."""

import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from functools import partial

import httpx
import pytest

from registry import schema
from registry.access.actors import Actor
from registry.app import create_app
from registry.events.outbox import Outbox
from registry.events.types import REPOSITORY_CHANGED
from registry.settings import Settings
from tests.support.ports import PATIENCE, wait_until
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(hang_guard(600))]

EVENTS, KILLS, REPOSITORIES = 600, scaled(100, 4), 5
LONG = 2 * PATIENCE
STREAM = {"Accept": "text/event-stream"}


class Killed:
    """A registry whose events are told to an observer in a process that is killed again and again."""

    def __init__(self, folder, url):
        self.folder, self.url, self.heard = folder, url, folder / "heard"
        self.app = create_app(Settings(data=folder, database_url=url, storage_url="memory:"))
        schema.upgrade(self.app)
        self.services = self.app.extensions["moorage"]
        self.outbox = Outbox(self.services.database)
        self.child = None

    def __enter__(self):
        client = self.app.test_client()
        for number in range(REPOSITORIES):
            client.post("/api/v1/repositories", json={"name": f"team/r{number}"})
        self.start()
        wait_until(lambda: self.services.events.consumers(Actor()) != [], PATIENCE, "the consumer")
        return self

    def __exit__(self, *_):
        self.kill()
        self.services.database.close_idle()

    def start(self):
        argv = [sys.executable, "-m", "tests.support.observing", self.url, str(self.folder), str(self.heard)]
        self.child = subprocess.Popen(argv)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def write(self, count):
        """Write so many events, twenty at once, over all repositories."""
        ids = [row.id for row in self.rows("SELECT id FROM repository ORDER BY id")]
        for first in range(0, count, 20):
            self.services.database.write(partial(self._record, ids=ids, numbers=range(first, first + 20)))

    def _record(self, connection, ids, numbers):
        now = self.services.database.now(connection)
        for number in numbers:
            place = ids[number % REPOSITORIES]
            self.outbox.record(connection, now, REPOSITORY_CHANGED, place, str(number), Actor("x"), {})

    def rows(self, statement):
        with self.services.database.read() as connection:
            return connection.exec_driver_sql(statement).all()

    def told(self):
        """Return what was heard: position, repository and id, line by line."""
        lines = self.heard.read_text().splitlines() if self.heard.exists() else []
        return [(int(position), repository, event) for position, repository, event in map(str.split, lines)]


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_kill_9_between_telling_and_remembering_loses_nothing_and_keeps_the_order(request, tmp_path, kind, figure):
    """Seen fail where the position is committed before events are told: then some are missing."""
    url = f"sqlite:///{tmp_path / 'moorage.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").create_database("events_killed")
    with Killed(tmp_path, url) as killed:
        for _ in range(KILLS):
            seen = len(killed.told())
            killed.write(EVENTS)
            wait_until(lambda seen=seen: len(killed.told()) > seen, LONG, "progress")
            time.sleep(random.uniform(0, 0.02))
            killed.kill()
            killed.start()
        wanted = {
            row.event_id
            for row in killed.rows("SELECT event_id FROM outbox WHERE type = 'org.moorage.repository.changed'")
        }
        wait_until(lambda: wanted <= {event for _, _, event in killed.told()}, LONG, "every event")
        heard = killed.told()
    assert len(wanted) == EVENTS * KILLS
    places, first_time = {}, defaultdict(list)
    for position, repository, event in heard:
        if event not in places:
            first_time[repository].append(position)
        assert places.setdefault(event, (position, repository)) == (position, repository)
    assert all(positions == sorted(positions) for positions in first_time.values())
    again = len(heard) - len(places)
    figure(
        f"{len(wanted)} events on {kind}, {KILLS} kills: none missing, {again} told again with the same id, in order"
    )


@pytest.fixture
def server(tmp_path):
    with MoorageServer(tmp_path / "data", worker=True, env={"MOORAGE_TRANSFER_THREADS": "8"}) as running:
        yield running


def make(server, name):
    httpx.post(f"{server.url}/api/v1/repositories", json={"name": name}, timeout=PATIENCE).raise_for_status()


def test_a_stream_tells_soon_takes_few_threads_and_ends_with_the_server(server, figure):
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        with client.stream("GET", "/api/v1/events", headers=STREAM) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry")
            make(server, "team/first")
            next(line for line in lines if line.startswith("data: "))  # the worker runs from here on
            waits = []
            for number in range(5):
                started = time.monotonic()
                make(server, f"team/r{number}")
                event = next(json.loads(line.partition(": ")[2]) for line in lines if line.startswith("data: "))
                waits.append(time.monotonic() - started)
                assert (event["type"], event["repository"]) == ("org.moorage.repository.created", f"team/r{number}")
            with client.stream("GET", "/api/v1/events", headers=STREAM) as second:
                assert second.status_code == 200
                with client.stream("GET", "/api/v1/events", headers=STREAM) as third:
                    assert third.status_code == 503
                assert client.get("/api/v1/repositories").status_code == 200
            figure(f"from a change to its event in a stream: {min(waits):.2f} to {max(waits):.2f} s")
            stopping = time.monotonic()
            assert server.stop() == 0
            assert list(lines)[-1:] in ([], [""])
        assert time.monotonic() - stopping < 10


def test_a_client_that_went_away_gives_its_place_free(server):
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        for _ in range(2):
            with client.stream("GET", "/api/v1/events", headers=STREAM) as stream:
                assert next(stream.iter_lines()).startswith("retry")

        def is_free():
            make(server, f"team/r{time.monotonic_ns()}")
            with client.stream("GET", "/api/v1/events", headers=STREAM) as stream:
                return stream.status_code == 200

        wait_until(is_free, PATIENCE, "a free place")
        assert is_free()
