"""Webhooks end to end: bad receivers and killed workers lose nothing, mix up nothing, and hold nobody else back."""

import hashlib
import hmac
import json
import sqlite3
import statistics
import threading
import time
from collections import defaultdict
from contextlib import ExitStack, closing

import httpx
import pytest

from registry.testing.images import image, layer
from tests.support.listening import OK, Listener, read_request
from tests.support.ports import PATIENCE, free_port, wait_for_count, wait_until
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

SECRET = "whsec_" + "5" * 32
REPOSITORIES = [f"team/app-{number}" for number in range(8)]
ODD, ODD_AND_SLOW = 25, 100
"""Every so many events a bad receiver behaves badly, at the first attempt."""
TIMEOUT = 5.0
pytestmark = pytest.mark.needs_tools


def verified(head, body):
    """Return the event's id, once the signature was found to be good."""
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    at, signature = fields["Moorage-Signature"].removeprefix("t=").split(",v1=")
    event = fields["Moorage-Event-Id"]
    text = f"moorage-webhook-v1\n{at}\n{event}\n{len(body)}\n{hashlib.sha256(body).hexdigest()}"
    assert signature == hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert fields["Content-Type"] == "application/cloudevents+json"
    return event


class Receiver(Listener):
    """Keeps what it took, in its order; `misbehave` deals with one event of `odd` once, and does not take it then."""

    def __init__(self, misbehave=None, port=0, odd=ODD):
        super().__init__(self._deal_with, port=port)
        self.taken = []
        self.bodies = defaultdict(set)
        self.times = {}
        self.refused = set()
        self.wrong = []
        self._misbehave, self._odd = misbehave, odd
        self._lock = threading.Lock()

    @property
    def distinct(self):
        """How many events it took."""
        return len(self.bodies)

    def _deal_with(self, connection):
        head, _, body = read_request(connection).partition(b"\r\n\r\n")
        if not body:
            return
        try:
            event = verified(head, body)
            envelope = json.loads(body)
            assert envelope["id"] == event
        except Exception as error:  # noqa: BLE001 - told at the end, by the test
            self.wrong.append(f"{error!r}: {head!r} {body!r}")
            return
        with self._lock:
            is_odd = int(hashlib.sha256(event.encode()).hexdigest(), 16) % self._odd == 0 and event not in self.refused
            if self._misbehave and is_odd:
                self.refused.add(event)
            else:
                self.taken.append((envelope.get("repository", ""), event))
                self.bodies[event].add(body)
                self.times.setdefault(event, time.time())
        if self._misbehave and is_odd:
            self._misbehave(self, connection)
        else:
            connection.sendall(OK)


def answers_500(_, connection):
    connection.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")


def closes_early(_, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def is_too_slow(receiver, _):
    receiver.stopped.wait(3 * TIMEOUT)


def redirects_to(canary):
    def redirect(_, connection):
        connection.sendall(f"HTTP/1.1 307 Moved\r\nLocation: {canary.url}\r\nContent-Length: 0\r\n\r\n".encode())

    return redirect


def count(data):
    """Return how many events there are."""
    with closing(sqlite3.connect(f"file:{data / 'moorage.db'}?mode=ro", uri=True, timeout=PATIENCE)) as database:
        return database.execute("SELECT count(*) FROM outbox").fetchone()[0]


def outbox(data):
    """Return all events in their order, once each has its place: (position, id, repository, time in milliseconds)."""
    with closing(sqlite3.connect(f"file:{data / 'moorage.db'}?mode=ro", uri=True, timeout=PATIENCE)) as database:
        waiting = "SELECT count(*) FROM outbox WHERE position IS NULL"
        wait_until(lambda: database.execute(waiting).fetchone()[0] == 0, PATIENCE, "every event has its place")
        return database.execute(
            "SELECT position, event_id, repository, time_ms FROM outbox ORDER BY position"
        ).fetchall()


def known(data):
    """Return how many subscriptions the dispatcher knows."""
    with closing(sqlite3.connect(f"file:{data / 'moorage.db'}?mode=ro", uri=True, timeout=PATIENCE)) as database:
        return database.execute("SELECT count(*) FROM event_consumer WHERE name LIKE 'webhooks/%'").fetchone()[0]


def settings(folder, urls, **more):
    """Write settings that declare a subscription for each URL, by its name."""
    lines = ['egress_allow = ["127.0.0.0/8"]', "[plugins.webhooks]", f"timeout_seconds = {TIMEOUT}"]
    lines += [f"{name} = {value}" for name, value in more.items()]
    for name, url in urls.items():
        lines += ["[[plugins.webhooks.subscriptions]]", f'name = "{name}"', f'url = "{url}"', f'secret = "{SECRET}"']
    file = folder / "moorage.toml"
    file.write_text("\n".join(lines))
    return {"MOORAGE_CONFIG": str(file)}


class Pushing:
    """Moves tags of some repositories, each time between two images; goes on where it was when the server is back."""

    def __init__(self, client):
        self.client = client
        self.images = [image(layer({"f": bytes([number])})) for number in range(2)]

    def prepare(self):
        for repository in REPOSITORIES:
            for one in self.images:
                for blob in one.blobs:
                    place = self.client.post(f"/v2/{repository}/blobs/uploads/").headers["Location"]
                    sent = self.client.put(place, params={"digest": blob.digest}, content=blob.data)
                    assert sent.status_code == 201

    def move(self, number):
        """Push an image under a tag: an event of the push, and one of the tag."""
        one, repository = self.images[(number // len(REPOSITORIES)) % 2], REPOSITORIES[number % len(REPOSITORIES)]

        def pushed():
            try:
                sent = self.client.put(
                    f"/v2/{repository}/manifests/latest", content=one.data, headers={"Content-Type": one.media_type}
                )
            except httpx.TransportError:
                return False
            return sent.status_code == 201

        wait_until(pushed, PATIENCE, f"push {number}")


def check(receiver, events):
    """Assert that a receiver has everything, once or more, each repository in its order."""
    assert receiver.wrong == []
    wanted = defaultdict(list)
    for _, event, repository, _ in events:
        wanted[repository].append(event)
    first = defaultdict(dict)
    for repository, event in receiver.taken:
        first[repository].setdefault(event)
    assert set(receiver.bodies) == {event for _, event, _, _ in events}
    for repository, order in wanted.items():
        assert list(first[repository]) == order, f"{repository} is out of order"
    assert {len(bodies) for bodies in receiver.bodies.values()} == {1}, "the same event, with other bytes"


@pytest.mark.soak
@pytest.mark.timeout(hang_guard(600))
def test_nothing_is_lost_or_mixed_up(tmp_path, figure):
    wanted = scaled(2000, 200)
    with ExitStack() as stack:
        canary = stack.enter_context(Listener())
        receivers = {
            "good": Receiver(),
            "failing": Receiver(answers_500),
            "closing": Receiver(closes_early),
            "redirecting": Receiver(redirects_to(canary)),
            "slow": Receiver(is_too_slow, odd=ODD_AND_SLOW),
        }
        for receiver in receivers.values():
            stack.enter_context(receiver)
        down = free_port()
        urls = {name: receiver.url for name, receiver in receivers.items()}
        env = settings(tmp_path, urls | {"down": f"http://127.0.0.1:{down}/hook"})
        server = MoorageServer(tmp_path / "data", worker=True, env=env)
        stack.enter_context(server)
        wait_until(lambda: known(server.data) == len(receivers) + 1, PATIENCE, "every subscription is known")
        before = len(outbox(server.data))
        pushing = Pushing(stack.enter_context(httpx.Client(base_url=server.url, timeout=PATIENCE)))
        pushing.prepare()
        number, started, kills = 0, time.monotonic(), 0
        while count(server.data) - before < wanted:
            for _ in range(10):
                pushing.move(number)
                number += 1
            if count(server.data) - before > wanted * (kills + 1) / 5 and kills < 3:
                server.kill9()
                server.start()
                kills += 1
        pushed = time.monotonic() - started
        receivers["down"] = stack.enter_context(Receiver(port=down))
        events = outbox(server.data)[before:]
        for name, receiver in receivers.items():
            wait_for_count(lambda receiver=receiver: receiver.distinct, len(events), f"events reached {name}")
        took = time.monotonic() - started
        events = outbox(server.data)[before:]
        for receiver in receivers.values():
            check(receiver, events)
        assert canary.hits == 0
        assert kills == 3
    for name, receiver in receivers.items():
        late = [receiver.times[event] * 1000 - at for _, event, _, at in events]
        figure(
            f"{name}: {len(events)} events, {len(receiver.taken) - len(events)} duplicates, "
            f"{len(receiver.refused)} refused once, median {statistics.median(late):.0f} ms after the commit"
        )
    figure(
        f"{len(events)} events to {len(receivers)} receivers: pushed in {pushed:.1f} s, all there after {took:.1f} s"
    )


def test_a_receiver_that_is_down_holds_back_nobody(tmp_path, figure):
    silent = Listener(lambda connection: silent.stopped.wait(PATIENCE))
    good = Receiver()
    with good, silent:
        env = settings(tmp_path, {"good": good.url, "silent": silent.url})
        with MoorageServer(tmp_path / "data", worker=True, env=env) as server:
            wait_until(lambda: known(server.data) == 2, PATIENCE, "every subscription is known")
            before = len(outbox(server.data))
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
                pushing = Pushing(client)
                pushing.prepare()
                for number in range(40):
                    pushing.move(number)
            events = outbox(server.data)[before:]
            wait_for_count(lambda: good.distinct, len(events), "events reached the good one")
            check(good, events)
            late = [good.times[event] * 1000 - at for _, event, _, at in events]
            figure(f"median {statistics.median(late):.0f} ms, longest {max(late):.0f} ms after the commit")
            assert silent.hits >= 1
