"""Events through /api/v1: pages, filters, the stream, replay, dead letters."""

import json
from datetime import UTC, datetime

import pytest

from registry.db.models import EventConsumer, EventDelivery
from registry.testing.images import image, layer

OLD, NEW = (image(layer({"f": text})) for text in (b"old", b"new"))
EVENTS, STREAM = "/api/v1/events", "text/event-stream"
PROBLEM = "application/problem+json"


@pytest.fixture
def services(app):
    return app.extensions["moorage"]


@pytest.fixture
def place(services):
    """Give the function that gives positions to what was written."""

    def run():
        while services.database.write(services.log.place):
            pass

    return run


@pytest.fixture
def happened(api, place, clock):
    api.push("a/b", OLD, "v1")
    place()
    clock.advance(60)
    api.push("a/b", NEW, "v1")
    api.push("other", OLD, "v1")
    place()


def listed(client, **query):
    found, cursor = [], {}
    while True:
        page = client.get(EVENTS, query_string={"limit": 2, **query, **cursor})
        assert page.status_code == 200, page.data
        found += page.json["items"]
        if page.json["next"] is None:
            return found
        cursor = {"cursor": page.json["next"]}


def kinds(found):
    return [one["type"].removeprefix("org.moorage.") for one in found]


def put(services, table, **values):
    services.database.write(lambda connection: connection.execute(table.__table__.insert(), values))


def consumer(services, position=0):
    put(services, EventConsumer, name="one/a", position=position)


def letter(services, position, dead_ms=1):
    row = {"repository": "a/b", "alone": False, "attempts": 3, "first_ms": 0, "due_ms": 0, "error": "no"}
    put(services, EventDelivery, consumer="one/a", position=position, dead_ms=dead_ms, **row)


def test_events_are_cloudevents_in_their_order(client, happened):
    found = listed(client)
    assert [int(one["sequence"]) for one in found] == list(range(1, len(found) + 1))
    assert kinds(found)[:5] == ["repository.created", "blob.pushed", "blob.pushed", "manifest.pushed", "tag.changed"]
    event = found[4]
    assert len(event.pop("id")) == 32
    assert event == {
        "specversion": "1.0",
        "source": "/api/v1/repositories/a/b",
        "type": "org.moorage.tag.changed",
        "time": "2023-11-14T22:13:20.000Z",
        "subject": "v1",
        "datacontenttype": "application/json",
        "repository": "a/b",
        "actor": "anonymous",
        "sequence": "0000000000000005",
        "data": {"digest": OLD.digest, "previous": None, "expires": None, "immutable": False},
    }
    assert "subject" not in found[0]


def test_what_has_no_position_yet_is_not_listed(client, api, place):
    api.push("a/b", OLD, "v1")
    assert listed(client) == []
    place()
    assert len(listed(client)) == 5


def test_events_are_filtered(client, happened, clock):
    since = datetime.fromtimestamp(clock() / 1000, UTC).isoformat()
    assert {one["repository"] for one in listed(client, repository="other")} == {"other"}
    assert set(kinds(listed(client, type="org.moorage.tag."))) == {"tag.changed"}
    two = listed(client, type="org.moorage.blob.pushed,org.moorage.repository.")
    assert set(kinds(two)) == {"blob.pushed", "repository.created"}
    assert listed(client, type="org.moorage.tag") == []
    assert kinds(listed(client, since=since))[0] == "blob.pushed"
    assert [int(one["sequence"]) for one in listed(client, after=7)][:1] == [8]


@pytest.mark.parametrize(
    "query",
    [{"after": "-1"}, {"after": "x"}, {"since": "x"}, {"type": ",".join("x" * 33)}, {"cursor": "x"}, {"odd": "1"}],
)
def test_odd_questions_are_refused(client, query):
    answer = client.get(EVENTS, query_string=query)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, PROBLEM)


def streamed(client, path=EVENTS, **headers):
    return client.get(path, headers={"Accept": STREAM, **headers}, buffered=False)


def read(answer, count):
    """Read so many events of a stream, and close it."""
    found, text = [], ""
    for piece in answer.response:
        text += piece.decode()
        *whole, text = text.split("\n\n")
        for block in whole:
            lines = dict(line.partition(": ")[::2] for line in block.splitlines())
            if "data" in lines:
                found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
        if len(found) >= count:
            break
    answer.close()
    return found


def test_a_stream_goes_on_where_the_client_was(client, happened):
    answer = streamed(client, **{"Last-Event-ID": "4"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, STREAM)
    found = read(answer, 3)
    assert [one[0] for one in found][:3] == [5, 6, 7]
    assert found[0][1] == "org.moorage.tag.changed"
    assert found[0][2] == listed(client)[4]


def test_a_stream_begins_at_the_present_and_tells_what_comes(client, api, happened, place):
    answer = streamed(client, f"{EVENTS}?type=org.moorage.tag.")
    pieces = iter(answer.response)
    assert next(pieces).startswith(b"retry: ")
    api.push("a/b", OLD, "v3")
    place()
    piece = next(pieces)
    assert piece.count(b"data: ") == 1
    assert b'"subject":"v3"' in piece
    answer.close()


def test_replay_from_any_position_gives_the_same_sequence(client, happened):
    whole = listed(client)
    for start in range(len(whole)):
        assert read(streamed(client, f"{EVENTS}?after={start}"), len(whole) - start)[0][2] == whole[start]
        assert listed(client, after=start) == whole[start:]


def test_only_so_many_streams_are_served_at_once(client, services, happened):
    most = services.settings.transfer_threads // 4
    open_streams = [streamed(client) for _ in range(most)]
    refused = streamed(client)
    assert (refused.status_code, refused.json["code"]) == (503, "UNAVAILABLE")
    open_streams[0].close()
    again = streamed(client)
    assert again.status_code == 200
    for one in [*open_streams, again]:
        one.close()


@pytest.mark.parametrize("given", ["x", "-1", "9" * 19, "\u0661"])
def test_an_odd_last_event_id_is_refused(client, given):
    answer = streamed(client, **{"Last-Event-ID": given.encode().decode("latin-1")})
    assert (answer.status_code, answer.json["code"]) == (400, "INPUT_INVALID")


def test_consumers_are_listed_and_sent_back(client, services, happened):
    consumer(services, position=9)
    letter(services, 3)
    letter(services, 7, dead_ms=None)
    head = len(listed(client))
    (shown,) = client.get(f"{EVENTS}/consumers").json["items"]
    assert shown == {"name": "one/a", "position": 9, "behind": head - 9, "waiting": 1, "dead": 1}
    answer = client.post(f"{EVENTS}/replay", json={"consumer": "one/a", "after": 5})
    assert (answer.status_code, answer.json) == (202, {"consumer": "one/a", "position": 5})
    (shown,) = client.get(f"{EVENTS}/consumers").json["items"]
    assert (shown["position"], shown["waiting"], shown["dead"]) == (5, 0, 1)
    since = datetime.fromtimestamp(0, UTC).isoformat()
    assert client.post(f"{EVENTS}/replay", json={"consumer": "one/a", "since": since}).json["position"] == 0


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"consumer": "nobody", "after": 1}, 404),
        ({"consumer": "one/a"}, 400),
        ({"consumer": "one/a", "after": 1, "since": "2026-01-01T00:00:00Z"}, 400),
        ({"consumer": "one/a", "after": 8}, 400),
        ({"consumer": "", "after": 1}, 400),
    ],
)
def test_an_odd_replay_is_refused(client, services, happened, wanted, status):
    consumer(services, position=7)
    assert client.post(f"{EVENTS}/replay", json=wanted).status_code == status


def test_dead_letters_are_listed_redelivered_and_dropped(client, services, happened):
    consumer(services, position=9)
    letter(services, 5)
    letter(services, 6, dead_ms=None)
    letter(services, 999)
    first, second = client.get(f"{EVENTS}/dead").json["items"]
    assert (first["consumer"], first["position"], first["attempts"], first["error"]) == ("one/a", 5, 3, "no")
    assert first["event"]["subject"] == "v1"
    assert second["event"] is None
    assert client.get(f"{EVENTS}/dead", query_string={"consumer": "two"}).json["items"] == []
    assert client.post(f"{EVENTS}/dead/{first['id']}/redeliver", json={}).status_code == 204
    assert client.post(f"{EVENTS}/dead/{first['id']}/redeliver", json={}).status_code == 404
    assert client.delete(f"{EVENTS}/dead/{second['id']}").status_code == 204
    assert client.delete(f"{EVENTS}/dead/{second['id']}").status_code == 404
    assert client.get(f"{EVENTS}/dead").json["items"] == []
