"""Labels through /api/v1: what their actions said about them, and what adding and removing them does to tags."""

import json
from datetime import UTC, datetime

import pytest

from registry.testing.images import artifact, image, index, layer
from tests.support.images import schema1

LAYER = layer({"f": b"labels"})
PLAIN = image(LAYER)
EXPIRES, IMMUTABLE, KEEP, PIN = "quay.expires-after", "quay.immutable", "org.moorage.keep-last", "org.moorage.pin"
KINDS = {
    "image": lambda labels: image(LAYER, labels=labels),
    "index": lambda labels: index(PLAIN, annotations=labels),
    "artifact": lambda labels: artifact("application/x-thing", annotations=labels),
    "schema 1": lambda labels: schema1(LAYER, labels=labels),
}
ODD = ["-5d", "1y", "1_0d", " 2w", "0s", "", "x" * 10_240, "\u23f3", '["1d"]']


def path_of(manifest):
    return f"/api/v1/repositories/a/b/-/manifests/{manifest.digest}/labels"


def listed(client, manifest):
    items, query = [], {"limit": 2}
    while True:
        page = client.get(path_of(manifest), query_string=query).json
        items += page["items"]
        if page["next"] is None:
            return {(item["source"], item["key"]): item for item in items}
        query["cursor"] = page["next"]


def add(client, manifest, key, value, status=201):
    answer = client.post(path_of(manifest), json={"key": key, "value": value})
    assert answer.status_code == status, answer.data
    return json.loads(answer.data)


def moment(clock, later):
    """Return the registry's time, and so many seconds."""
    return datetime.fromtimestamp(clock() / 1000 + later, UTC)


def tag(client, name):
    return client.get(f"/api/v1/repositories/a/b/-/tags/{name}").json


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ODD)
def test_an_odd_value_is_taken_does_nothing_and_says_why(client, api, kind, value):
    made = KINDS[kind](dict.fromkeys((EXPIRES, IMMUTABLE, KEEP, PIN), value))
    api.push("a/b", made, "v1")
    for key in (EXPIRES, IMMUTABLE, KEEP, PIN):
        assert add(client, made, key, value)["warning"]
    shown = tag(client, "v1")
    assert (shown["until"], shown["immutable"], shown["immutable_by_label"]) == (None, False, False)
    found = listed(client, made)
    assert len(found) == 8
    for (_, key), label in found.items():
        assert label["value"] == value
        assert 20 < len(label["warning"]) < 300, key
    assert not client.get(f"/api/v1/repositories/a/b/-/manifests/{made.digest}").json["label_pin"]
    assert client.delete("/v2/a/b/manifests/v1").status_code == 202


@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_life_is_a_hundred_years_and_says_so(client, api, clock, kind):
    made = KINDS[kind]({EXPIRES: "999999999999d"})
    api.push("a/b", made, "v1")
    assert datetime.fromisoformat(tag(client, "v1")["until"]) == moment(clock, 36_500 * 86_400)
    assert "36500 days" in listed(client, made)["manifest", EXPIRES]["warning"]


def test_labels_come_and_go_with_what_they_do(client, api):
    api.push("a/b", PLAIN, "v1")
    expires = add(client, PLAIN, EXPIRES, "1h")
    assert expires == {
        "id": expires["id"],
        "key": EXPIRES,
        "value": "1h",
        "media_type": "text/plain",
        "source": "api",
        "warning": "",
    }
    assert tag(client, "v1")["until"]
    protects = add(client, PLAIN, IMMUTABLE, "true")
    shown = tag(client, "v1")
    assert (shown["until"], shown["immutable_by_label"]) == (None, True)
    refused = client.delete("/v2/a/b/manifests/v1")
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (409, "DENIED")
    assert client.delete(f"{path_of(PLAIN)}/{protects['id']}").status_code == 204
    assert client.delete(f"{path_of(PLAIN)}/{expires['id']}").status_code == 204
    shown = tag(client, "v1")
    assert (shown["until"], shown["immutable_by_label"]) == (None, False)
    assert listed(client, PLAIN) == {}


def test_an_end_that_the_api_set_stays_whatever_labels_say(client, api, clock):
    api.push("a/b", PLAIN, "v1")
    until = moment(clock, 86_400)
    changed = client.patch("/api/v1/repositories/a/b/-/tags/v1", json={"expires": until.isoformat()})
    assert changed.status_code == 200, changed.data
    expires = add(client, PLAIN, EXPIRES, "1h")
    assert datetime.fromisoformat(tag(client, "v1")["until"]) == until
    client.delete(f"{path_of(PLAIN)}/{expires['id']}")
    assert tag(client, "v1")["until"] == changed.json["until"]


def test_what_came_with_the_manifest_is_not_removed(client, api):
    made = image(LAYER, labels={"a": "b"})
    api.push("a/b", made, "v1")
    own = listed(client, made)["manifest", "a"]
    refused = client.delete(f"{path_of(made)}/{own['id']}")
    problem = json.loads(refused.data)
    assert (refused.status_code, problem["code"]) == (409, "LABEL_REFUSED")
    assert problem["context"] == {"label": own["id"], "key": "a", "source": "manifest"}
    unknown = client.delete(f"{path_of(made)}/{own['id'] + 1}")
    assert (unknown.status_code, json.loads(unknown.data)["code"]) == (404, "LABEL_UNKNOWN")


@pytest.mark.parametrize(
    ("key", "value"), [("", "x"), ("k" * 1025, "x"), ("k", "v" * 65_537), ("k", "a\0b"), ("k", 1), ("k", None)]
)
def test_bounds_of_labels(client, api, key, value):
    api.push("a/b", PLAIN, "v1")
    problem = add(client, PLAIN, key, value, status=400)
    assert problem["detail"]


def test_labels_of_nothing(client, api):
    api.push("a/b", PLAIN, "v1")
    other = image(LAYER, labels={"not": "pushed"})
    assert client.get(path_of(other)).status_code == 404
    assert add(client, other, "k", "v", status=404)["code"] == "MANIFEST_UNKNOWN"
