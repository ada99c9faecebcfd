"""Tags and rules through /api/v1: what is shown, changed under a revision, and refused with its reason."""

from datetime import UTC, datetime

import pytest

from registry.testing.images import image, layer

OLD, NEW = (image(layer({"f": text})) for text in (b"old", b"new"))
TAGS, HISTORY = "/api/v1/repositories/a/b/-/tags", "/api/v1/repositories/a/b/-/history"
TRIAL, RULES = "/api/v1/repositories/a/b/-/protection", "/api/v1/rules"


@pytest.fixture
def moved(api, clock):
    """Push one image under two tags, and an hour later another over one of them; give the time between."""
    api.push("a/b", OLD, "v1", "w1")
    then = at(clock, 60)
    clock.advance(3600)
    api.push("a/b", NEW, "v1")
    return then


def at(clock, later):
    """Return the registry's time, and so many seconds, as the API writes it."""
    return datetime.fromtimestamp(clock() / 1000 + later, UTC).isoformat().replace("+00:00", "Z")


def pages(client, path, **query):
    """Return the items of a list that is asked for one by one."""
    found, cursor = [], {}
    while True:
        page = client.get(path, query_string={**query, "limit": 1, **cursor}).json
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def refused(answer, status, code):
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.data
    return answer.json["detail"]


def test_tags_are_shown_as_they_are_and_as_they_were(client, moved):
    assert [(one["name"], one["digest"]) for one in pages(client, TAGS)] == [("v1", NEW.digest), ("w1", OLD.digest)]
    then = pages(client, TAGS, as_of=moved)
    assert [(one["name"], one["digest"]) for one in then] == [("v1", OLD.digest), ("w1", OLD.digest)]
    assert client.get(f"{TAGS}/v1", query_string={"as_of": moved}).json["ended"] == "moved"
    shown = client.get(f"{TAGS}/v1").json
    assert (shown["digest"], shown["until"], shown["ended"], shown["immutable_by_rule"]) == (NEW.digest, *[None] * 3)


def test_history_is_filtered_and_paged(client, moved, clock):
    assert [one["name"] for one in pages(client, HISTORY)] == ["v1", "w1", "v1"]
    assert [one["digest"] for one in pages(client, HISTORY, tag="v1")] == [NEW.digest, OLD.digest]
    assert [one["name"] for one in pages(client, HISTORY, tag="w*")] == ["w1"]
    assert [one["digest"] for one in pages(client, HISTORY, since=moved)] == [NEW.digest]
    assert [one["name"] for one in pages(client, HISTORY, until=moved, tag="v*")] == ["v1"]
    for tag in ("", "*v", "v*1", "v**", "a b"):
        refused(client.get(HISTORY, query_string={"tag": tag}), 400, "TAG_INVALID")
    for bad in ({"since": "yesterday"}, {"since": "2024-01-01T00:00:00"}, {"other": "1"}, {"cursor": "x"}):
        assert client.get(HISTORY, query_string=bad).status_code == 400
    refused(client.get(HISTORY, query_string={"since": "1900-01-01T00:00:00Z"}), 400, "INPUT_INVALID")


def test_a_condition_holds_for_what_is_not_there_as_well(client, moved, clock):
    def put(tag, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.put(f"{TAGS}/{tag}", json={"digest": OLD.digest}, headers=named)

    refused(put("new", If_Match="*"), 412, "PRECONDITION_FAILED")
    assert client.get(f"{TAGS}/new").status_code == 404
    refused(put("v1", If_None_Match="*"), 412, "PRECONDITION_FAILED")
    assert client.get(f"{TAGS}/v1").json["digest"] == NEW.digest
    assert put("new", If_None_Match="*").status_code == 200
    seen = client.patch(f"{TAGS}/v1", json={"expires": at(clock, 7200)}).headers["ETag"]
    clock.advance(7200)
    for match in (seen, "*"):
        refused(put("v1", If_Match=match), 412, "PRECONDITION_FAILED")
    assert put("v1", If_None_Match="*").status_code == 200
    refused(put("v1", If_None_Match='"x"'), 400, "INPUT_INVALID")
    refused(put("v1", If_None_Match="*", If_Match="*"), 400, "INPUT_INVALID")


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_a_condition_that_would_be_ignored_is_refused(client, moved, header):
    answer = client.delete(f"/api/v1/repositories/a/b/-/manifests/{NEW.digest}", headers={header: "*"})
    assert header in refused(answer, 400, "INPUT_INVALID")


def test_an_end_and_protection_are_one_change(client, moved, clock):
    etag = client.get(f"{TAGS}/v1").headers["ETag"]
    end = at(clock, 7200)
    both = client.patch(f"{TAGS}/v1", json={"expires": end, "immutable": True})
    assert "clear that first" in refused(both, 409, "DENIED")
    assert client.get(f"{TAGS}/v1").headers["ETag"] == etag
    made = client.patch(f"{TAGS}/v1", json={"expires": end}, headers={"If-Match": etag})
    assert (made.json["until"], made.json["expires_by"]) == (end, "api")
    stale = client.patch(f"{TAGS}/v1", json={"immutable": True}, headers={"If-Match": etag})
    refused(stale, 412, "PRECONDITION_FAILED")
    cleared = client.patch(f"{TAGS}/v1", json={"expires": None, "immutable": True}).json
    assert (cleared["until"], cleared["immutable"]) == (None, True)
    refused(client.patch(f"{TAGS}/v1", json={"expires": at(clock, -1), "immutable": False}), 400, "EXPIRY_INVALID")
    assert client.get(f"{TAGS}/v1").json["immutable"] is True
    same = client.patch(f"{TAGS}/v1", json={})
    assert same.json == client.get(f"{TAGS}/v1").json
    for bad in ({"expires": "soon"}, {"expires": 5}, {"immutable": None}, {"tag": "v1"}):
        assert client.patch(f"{TAGS}/v1", json=bad).status_code == 400


def test_a_tag_is_moved_deleted_and_put_back(client, moved):
    assert client.put(f"{TAGS}/v1", json={"digest": OLD.digest}).json["digest"] == OLD.digest
    refused(client.put(f"{TAGS}/v1", json={"digest": "sha256:" + "0" * 64}), 404, "MANIFEST_UNKNOWN")
    refused(client.put(f"{TAGS}/v1", json={"digest": "latest"}), 400, "DIGEST_INVALID")
    assert client.delete(f"{TAGS}/v1").status_code == 204
    assert "deleted" in refused(client.get(f"{TAGS}/v1"), 404, "MANIFEST_UNKNOWN")
    back = client.post(f"{TAGS}/v1/restore", json={"digest": NEW.digest})
    assert (back.json["digest"], back.json["restored"]) == (NEW.digest, True)
    refused(client.post(f"{TAGS}/w1/restore", json={"digest": NEW.digest}), 404, "MANIFEST_UNKNOWN")
    assert client.post(f"{TAGS}/v1/restore", json={"as_of": moved}).json["digest"] == OLD.digest


def test_a_tag_goes_back_to_a_time_or_a_digest_and_not_to_both(client, moved):
    both = client.post(f"{TAGS}/v1/restore", json={"as_of": moved, "digest": NEW.digest})
    assert "not both" in refused(both, 400, "INPUT_INVALID")


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01", "1969-12-31T23:59:59Z"])
def test_a_time_that_nothing_can_have_is_refused(client, moved, time):
    for path in (f"{TAGS}/v1/restore", f"{TAGS.removesuffix('tags')}restore"):
        refused(client.post(path, json={"as_of": time}), 400, "INPUT_INVALID")
    for path in (TAGS, f"{TAGS}/v1"):
        refused(client.get(path, query_string={"as_of": time}), 400, "INPUT_INVALID")
    refused(client.patch(f"{TAGS}/v1", json={"expires": time}), 400, "INPUT_INVALID")


def test_a_rule_is_tried_page_by_page_and_then_named(client, moved):
    wanted = {"definition": {"tags": ["*"], "retroactive": True}}
    first = client.post(TRIAL, query_string={"limit": 1}, json=wanted).json
    second = client.post(TRIAL, query_string={"limit": 1, "cursor": first["next"]}, json=wanted).json
    last = client.post(TRIAL, query_string={"limit": 1, "cursor": second["next"]}, json=wanted).json
    assert [[one["tag"] for one in page["items"]] for page in (first, second, last)] == [["v1"], ["w1"], []]
    assert ([page["tried"] for page in (first, second, last)], last["next"]) == ([1, 1, 0], None)
    rule = {"name": "all", "kind": "immutability", **wanted}
    made = client.post(RULES, json=rule)
    assert (made.status_code, made.headers["Location"]) == (201, "/api/v1/rules/all")
    refused(client.post(RULES, json=rule), 409, "RULE_TAKEN")
    assert client.get(f"{TAGS}/w1").json["immutable_by_rule"] == "all"
    assert "the rule all makes it so" in refused(client.delete(f"{TAGS}/w1"), 409, "DENIED")
    changed = client.put(
        f"{RULES}/all", json={"definition": {"tags": ["v*"]}}, headers={"If-Match": made.headers["ETag"]}
    )
    assert changed.status_code == 200
    refused(client.delete(f"{RULES}/all", headers={"If-Match": made.headers["ETag"]}), 412, "PRECONDITION_FAILED")
    refused(client.put(f"{RULES}/all", json={"definition": {"tags": ["re:(a"]}}), 400, "RULE_INVALID")
    assert client.delete(f"{RULES}/all").status_code == 204
    refused(client.get(f"{RULES}/all"), 404, "RULE_UNKNOWN")
