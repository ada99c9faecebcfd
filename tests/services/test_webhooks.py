"""Webhooks over the real dispatcher, store and egress, in one process: receivers fail, and a clock is moved."""

import json

import pytest

from registry.testing.apps import running_app
from registry.testing.clock import Clock
from registry.testing.images import image, layer
from tests.support.api import Api
from tests.support.listening import OK, Listener, read_request

PATH = "/webhooks/subscriptions"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"


class Receiver(Listener):
    """Keeps the events it was sent, and gives the answers it is told, 204 after those."""

    def __init__(self):
        super().__init__(self._take)
        self.seen = []
        self.answers = []

    def _take(self, connection):
        event = json.loads(read_request(connection).partition(b"\r\n\r\n")[2])
        self.seen.append((event["repository"], event["type"].rpartition("moorage.")[2], event["id"]))
        connection.sendall(self.answers.pop(0) if self.answers else OK)

    def told(self):
        """Return repositories and types since the last time."""
        seen, self.seen = self.seen, []
        return [(repository, kind) for repository, kind, _ in seen]


class House:
    """A registry whose events are dispatched when asked."""

    def __init__(self, app, clock):
        self.app, self.clock = app, clock
        self.api, self.client = Api(app.test_client()), app.test_client()
        self.dispatcher = app.extensions["moorage"].dispatcher("a worker")

    def subscribe(self, name, url, **more):
        made = self.client.post(PATH, json={"name": name, "url": url, "types": ["*.tag.*"], **more})
        assert made.status_code == 201, made.json
        self.dispatch()

    def dispatch(self, seconds=0):
        self.clock.advance(seconds)
        return self.dispatcher.run_due()

    def tag(self, repository, tag):
        self.api.push(repository, image(layer({"f": tag.encode()})), tag)

    def log(self, name, state=""):
        return self.client.get(f"{PATH}/{name}/deliveries", query_string={"state": state}).json["items"]


@pytest.fixture
def house(tmp_path, blank):
    clock = Clock()
    plugins = {"webhooks": {"attempts": 3}}
    with running_app(tmp_path, blank=blank, clock=clock, egress_allow=("127.0.0.0/8",), plugins=plugins) as app:
        yield House(app, clock)


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def test_what_happens_is_told_and_logged(house, receiver):
    house.tag("team/app", "old")
    house.dispatch()
    house.subscribe("ci", receiver.url, repositories=["team/*"])
    house.tag("team/app", "new")
    house.tag("other", "new")
    house.dispatch()
    assert receiver.told() == [("team/app", "tag.changed")]
    [entry] = house.log("ci")
    assert (entry["state"], entry["status"], entry["attempt"]) == ("delivered", 204, 1)


def test_an_address_that_is_not_allowed_gets_nothing(house, receiver):
    refused = house.client.post(PATH, json={"name": "ci", "url": "http://10.0.0.1/"})
    assert refused.status_code == 400
    assert "egress_allow" in refused.json["errors"][0]["message"]


def test_order_is_kept_within_a_repository_and_others_go_on(house, receiver):
    with Receiver() as other:
        house.subscribe("ci", receiver.url)
        house.subscribe("other", other.url)
        receiver.answers = [FAILED]
        for number in range(4):
            house.tag("a", f"v{number}")
        for number in range(2):
            house.tag("b", f"v{number}")
        house.dispatch()
        assert receiver.told() == [("a", "tag.changed"), ("b", "tag.changed"), ("b", "tag.changed")]
        assert len(other.told()) == 6
        house.dispatch(seconds=3)
        assert [repository for repository, _ in receiver.told()] == ["a"] * 4
        assert other.told() == []


def test_an_event_is_the_same_whenever_it_comes(house, receiver):
    house.subscribe("ci", receiver.url)
    receiver.answers = [FAILED, FAILED]
    house.tag("a", "1")
    for _ in range(3):
        house.dispatch(seconds=10)
    assert len(receiver.seen) == 3
    assert len(set(receiver.seen)) == 1


def test_after_its_last_attempt_a_delivery_is_dead_until_it_is_sent_again(house, receiver):
    house.subscribe("ci", receiver.url)
    receiver.answers = [FAILED] * 3
    house.tag("a", "1")
    house.tag("a", "2")
    for _ in range(5):
        house.dispatch(seconds=10)
    assert len(receiver.told()) == 4
    [dead] = house.log("ci", "dead")
    again = house.client.post(f"{PATH}/ci/redeliver", json={"event": dead["event"]})
    assert again.json["state"] == "delivered"
    assert [event for _, _, event in receiver.seen] == [dead["event"]]
    assert house.log("ci", "dead") == []


def test_who_is_gone_is_paused_and_told_everything_once_resumed(house, receiver):
    house.subscribe("ci", receiver.url)
    receiver.answers = [GONE]
    house.tag("a", "1")
    house.tag("b", "1")
    for _ in range(10):
        house.dispatch(seconds=100)
    assert receiver.told() == [("a", "tag.changed")]
    assert house.client.get(f"{PATH}/ci").json["paused"] == "the receiver answered 410 Gone"
    house.client.post(f"{PATH}/ci/resume", json={})
    house.dispatch()
    assert receiver.told() == [("a", "tag.changed"), ("b", "tag.changed")]


def test_a_receiver_that_is_down_is_no_failure_of_the_plugin(house):
    with Receiver() as receiver:
        house.subscribe("ci", receiver.url)
    house.tag("a", "1")
    house.dispatch()
    [entry] = house.log("ci")
    assert (entry["state"], entry["error"]) == ("failed", "Connection refused")
