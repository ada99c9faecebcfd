"""What is told: every operation that changes something, and exactly the events that it writes, with all their fields."""

import json
from datetime import UTC, datetime

import pytest

from registry.blueprints.api._operations import operations_of
from registry.events.types import LABEL_PREFIX, TYPES
from registry.hooks import EmitEvent, LabelAction, Pin, hookimpl
from registry.testing.images import image, index, layer
from registry.work.worker import Worker

HOUR, DAY = 3_600, 86_400
A, B = (image(layer({"f": text})) for text in (b"a", b"b"))
LIVES = image(layer({"f": b"lives"}), labels={"quay.expires-after": "1h"})
KEPT = [image(layer({"f": text}), labels={"org.moorage.keep-last": "1"}) for text in (b"1", b"2")]
REPO, V1, V2 = "/api/v1/repositories/team/app", "/v2/team/app", "/v2/team/other"
TAG, OF = f"{REPO}/-/tags/v1", f"{REPO}/-/manifests/{A.digest}"
FIELDS = {kind.name: set(kind.data) for kind in TYPES}


class House:
    """An app asked over HTTP, whose outbox is read as it grows."""

    def __init__(self, direct):
        self.direct = direct
        self.client = direct.app.test_client()
        self.seen = 0

    def call(self, method, path, body=None, status=(200, 201, 202, 204), **more):
        json_body = {"json": body or {}} if path.startswith("/api") and method not in ("GET", "DELETE") else more
        answer = self.client.open(path, method=method, **json_body)
        assert answer.status_code in status, answer.data
        return answer

    def work(self):
        Worker(self.direct.services.queue, "worker").run_due()

    def new(self):
        """Return the events that were written since the last call, as type, repository, subject and data."""
        rows = self.direct.rows(
            "SELECT id, event_id, type, repository, subject, actor, time_ms, data, position FROM outbox"
            " WHERE id > :seen ORDER BY id",
            seen=self.seen,
        )
        self.seen = rows[-1].id if rows else self.seen
        assert len({row.event_id for row in rows}) == len(rows)
        told = []
        for row in rows:
            data = json.loads(row.data)
            assert row.type.startswith(LABEL_PREFIX) or set(data) == FIELDS[row.type], row.type
            assert row.position is None
            assert row.actor == "anonymous" or row.type in ("org.moorage.tag.expired", "org.moorage.manifest.pulled")
            told.append((row.type.removeprefix("org.moorage."), row.repository, row.subject, data))
        return told


@pytest.fixture
def house(direct):
    return House(direct)


def told(house):
    """Return what is told, without data but for the reason of an end."""
    return [
        f"{kind} {subject}" + (f" ({data['reason']})" if "reason" in data else "")
        for kind, _, subject, data in house.new()
    ]


def push(house, made=A, *tags, quiet=True):
    house.direct.push(made, *tags)
    if quiet:
        house.new()


def put(house, made, reference):
    return house.call("PUT", f"{V1}/manifests/{reference}", data=made.data, headers={"Content-Type": made.media_type})


def of_push(house):
    for part in A.walk():
        if part is not A:
            house.direct.upload(part)
    assert [event.split(" ")[0] for event in told(house)] == ["repository.created", "blob.pushed", "blob.pushed"]
    put(house, A, "v1")
    first, second = house.new()
    assert first[1:] == (
        "team/app",
        A.digest,
        {
            "mediaType": A.media_type,
            "artifactType": "application/vnd.oci.image.config.v1+json",
            "size": len(A.data),
            "refersTo": None,
            "tags": ["v1"],
            "created": True,
        },
    )
    assert second[2:] == ("v1", {"digest": A.digest, "previous": None, "expires": None, "immutable": False})
    put(house, A, "v1")
    ((kind, _, _, data),) = house.new()
    assert (kind, data["created"]) == ("manifest.pushed", False)
    push(house, B)
    put(house, B, "v1")
    assert [event[3].get("previous") for event in house.new()] == [None, A.digest]


def of_push_with_a_life(house):
    push(house, LIVES, "v1", quiet=False)
    events = house.new()
    assert (events[-1][0], events[-1][3]["expires"]) == ("tag.changed", "2024-02-29T13:00:00.000+00:00")
    house.direct.clock.turn(seconds=60)
    push(house, LIVES, "v1", quiet=False)
    assert [event[0] for event in house.new()] == ["blob.pushed", "blob.pushed", "manifest.pushed", "tag.changed"]
    house.direct.clock.turn(seconds=HOUR)
    push(house, A, "v1", quiet=False)
    kinds = [(event[0], event[3]) for event in house.new() if event[0].startswith("tag")]
    assert kinds == [
        ("tag.expired", {"digest": LIVES.digest, "expired": "2024-02-29T13:01:00.000+00:00"}),
        ("tag.changed", {"digest": A.digest, "previous": None, "expires": None, "immutable": False}),
    ]
    house.work()
    assert house.new() == []


def of_keep_last(house):
    push(house, KEPT[0], "v1")
    push(house, KEPT[1], "v2", quiet=False)
    assert told(house)[-2:] == ["tag.changed v2", "tag.deleted v1 (keep last)"]


def of_delete_by_tag(house):
    push(house, A, "v1", "v2")
    house.call("DELETE", f"{V1}/manifests/v1")
    assert told(house) == ["tag.deleted v1 (deleted)"]
    house.call("DELETE", f"{V1}/manifests/{A.digest}")
    assert told(house) == [f"manifest.deleted {A.digest} (manifest deleted)", "tag.deleted v2 (manifest deleted)"]


def of_blob(house):
    blob = next(A.walk())
    house.direct.upload(blob)
    assert house.new()[-1] == ("blob.pushed", "team/app", blob.digest, {"size": len(blob.data), "mountedFrom": None})
    answer = house.call("POST", f"{V2}/blobs/uploads/?mount={blob.digest}&from=team/app")
    assert answer.status_code == 201
    data = {"size": len(blob.data), "mountedFrom": "team/app"}
    assert house.new() == [
        ("repository.created", "team/other", "", {}),
        ("blob.pushed", "team/other", blob.digest, data),
    ]
    house.call("DELETE", f"{V1}/blobs/{blob.digest}")
    assert told(house) == [f"blob.deleted {blob.digest} (deleted)"]


def of_upload(house):
    started = house.call("POST", f"{V1}/blobs/uploads/")
    assert told(house) == ["repository.created "]
    place = started.headers["Location"]
    place = house.call("PATCH", place, data=b"x").headers["Location"]
    assert house.new() == []
    blob = next(A.walk())
    house.call("DELETE", place)
    assert house.new() == []
    started = house.call("POST", f"{V1}/blobs/uploads/")
    separator = "&" if "?" in started.headers["Location"] else "?"
    house.call("PUT", f"{started.headers['Location']}{separator}digest={blob.digest}", data=blob.data)
    assert told(house) == [f"blob.pushed {blob.digest}"]


def of_repositories(house):
    house.call("POST", "/api/v1/repositories", {"name": "team/app"})
    assert house.new() == [("repository.created", "team/app", "", {})]
    house.call("PATCH", REPO, {"description": "x", "recovery_seconds": 5})
    data = {"description": "x", "allowSparse": None, "recoverySeconds": 5}
    assert house.new() == [("repository.changed", "team/app", "", data)]
    house.call("POST", f"{REPO}/-/rename", {"name": "team/new"})
    assert house.new() == [("repository.renamed", "team/new", "", {"previous": "team/app"})]
    house.call("DELETE", "/api/v1/repositories/team/new")
    assert house.new() == [("repository.deleted", "team/new", "", {})]
    house.call("POST", "/api/v1/repositories/team/new/-/undelete")
    assert house.new() == [("repository.restored", "team/new", "", {})]


def of_manifest(house):
    push(house, index(A), "v1")
    house.call("DELETE", OF)
    assert told(house) == [f"manifest.deleted {A.digest} (manifest deleted)"]
    house.direct.delete_manifest(index(A))
    house.new()
    house.call("POST", f"{REPO}/-/manifests/{index(A).digest}/restore")
    back = told(house)
    assert sorted(back[:2]) == sorted(f"manifest.restored {one.digest}" for one in (A, index(A)))
    assert back[2:] == ["tag.restored v1"]


def of_purge(house):
    push(house, A, "v1")
    house.call("POST", "/api/v1/purges", {"digest": A.digest, "reason": "leaked"})
    events = house.new()
    assert [event[:3] for event in events] == [
        ("manifest.deleted", "team/app", A.digest),
        ("tag.deleted", "team/app", "v1"),
        ("digest.purged", "", A.digest),
    ]
    assert events[-1][3] == {"reason": "leaked", "repositories": ["team/app"]}
    house.call("DELETE", f"/api/v1/purges/{A.digest}")
    assert house.new() == [("digest.allowed", "", A.digest, {})]


def of_purged_blob(house):
    blob = next(A.walk())
    house.direct.upload(blob)
    house.new()
    house.call("POST", "/api/v1/purges", {"digest": blob.digest, "reason": "leaked"})
    assert told(house) == [f"blob.deleted {blob.digest} (purged)", f"digest.purged {blob.digest} (leaked)"]


def of_labels(house):
    push(house, A, "v1")
    label = house.call("POST", f"{OF}/labels", {"key": "quay.expires-after", "value": "1h"}).json["id"]
    data = {"digest": A.digest, "expires": "2024-02-29T13:00:00.000+00:00", "immutable": False}
    assert house.new() == [
        ("manifest.labelled", "team/app", A.digest, {"key": "quay.expires-after", "value": "1h"}),
        ("tag.updated", "team/app", "v1", data),
    ]
    house.call("DELETE", f"{OF}/labels/{label}")
    assert told(house) == [f"manifest.unlabelled {A.digest}", "tag.updated v1"]
    house.call("POST", f"{OF}/labels", {"key": "plain", "value": ""})
    assert told(house) == [f"manifest.labelled {A.digest}"]


def of_tags(house):
    push(house, A)
    push(house, B)
    house.call("PUT", TAG, {"digest": A.digest})
    assert told(house) == ["tag.changed v1"]
    house.call("PATCH", TAG, {"expires": "2024-02-29T14:00:00Z"})
    data = {"digest": A.digest, "expires": "2024-02-29T14:00:00.000+00:00", "immutable": False}
    assert house.new() == [("tag.updated", "team/app", "v1", data)]
    house.call("PATCH", TAG, {"expires": None, "immutable": True})
    assert [event[3]["immutable"] for event in house.new()] == [True]
    house.call("PATCH", TAG, {"immutable": True})
    assert house.new() == []
    house.call("PATCH", TAG, {"immutable": False})
    house.direct.clock.turn(seconds=1)
    house.call("PUT", TAG, {"digest": B.digest})
    house.new()
    house.call("POST", f"{TAG}/restore", {})
    data = {"digest": A.digest, "previous": B.digest, "expires": None, "immutable": False}
    assert house.new() == [("tag.restored", "team/app", "v1", data)]
    house.call("DELETE", TAG)
    assert told(house) == ["tag.deleted v1 (deleted)"]


def of_restored_repository(house):
    push(house, A, "v1")
    then = house.direct.clock.now
    house.direct.clock.turn(seconds=5)
    push(house, B, "v1", "v2")
    house.call("POST", f"{REPO}/-/restore", {"as_of": datetime.fromtimestamp(then / 1000, UTC).isoformat()})
    assert house.new() == []
    house.work()
    assert told(house) == ["tag.restored v1", "tag.deleted v2 (restored)"]


def of_retention(house):
    push(house, A, "v1")
    house.direct.clock.turn(seconds=2 * DAY)
    house.direct.rule("none", "retention", {"keep": {"last": 1}, "select": ["x*"]})
    house.direct.rule("old", "retention", {"keep": {"younger_than": "1d"}})
    house.direct.rule("loose", "retention", {"for": "untagged", "keep": {"younger_than": "1d"}})
    house.direct.services.pulls.flush()
    assert house.new() == []
    plan = house.call("POST", f"{REPO}/-/retention").json["id"]
    assert house.new() == []
    house.call("POST", f"{REPO}/-/retention/{plan}/run")
    assert "tag.deleted v1 (retention)" in told(house)


def of_lapses(house):
    push(house, LIVES, "v1", "v2")
    house.direct.clock.turn(seconds=HOUR)
    assert house.new() == []
    house.work()
    house.work()
    assert told(house) == ["tag.expired v1", "tag.expired v2"]
    assert house.direct.history("v1")[0].reason(house.direct.clock.now) == "expired"
    assert house.direct.restore("v1").digest == LIVES.digest


def of_lapses_in_a_deleted_repository(house):
    push(house, LIVES, "v1")
    house.call("DELETE", REPO)
    house.direct.clock.turn(seconds=HOUR)
    house.new()
    house.work()
    assert house.new() == []
    house.call("POST", f"{REPO}/-/undelete")
    house.new()
    house.work()
    assert told(house) == ["tag.expired v1"]


def of_pulls(house):
    push(house, A, "v1")
    for _ in range(3):
        house.call("GET", f"{V1}/manifests/v1")
    house.call("GET", f"{V1}/manifests/{A.digest}")
    house.call("HEAD", f"{V1}/manifests/v1")
    assert house.new() == []
    house.direct.services.pulls.flush()
    assert sorted((event[3]["tag"] or "", event[3]["count"]) for event in house.new()) == [("", 1), ("v1", 3)]
    house.direct.services.pulls.flush()
    assert house.new() == []


def of_the_switch(house):
    for _ in range(2):
        house.call("PUT", "/api/v1/readonly", {"reason": "tried"})
    for _ in range(2):
        house.call("DELETE", "/api/v1/readonly")
    items = house.call("GET", "/api/v1/events?after=0").json["items"]  # they have their positions at once
    assert [(one["type"].removeprefix("org.moorage."), one["data"]) for one in items] == [
        ("registry.closed", {"reason": "tried"}),
        ("registry.opened", {}),
    ]


CASES = {
    of_push: ["manifests.put_manifest"],
    of_push_with_a_life: [],
    of_keep_last: [],
    of_delete_by_tag: ["manifests.delete_manifest"],
    of_blob: ["blobs.delete_blob"],
    of_upload: [
        "uploads.start_upload",
        "uploads.append_chunk",
        "uploads.finish_upload",
        "uploads.cancel_upload",
    ],
    of_repositories: [
        "create_repository",
        "change_repository",
        "rename_repository",
        "delete_repository",
        "undelete_repository",
    ],
    of_manifest: ["delete_manifest", "restore_manifest"],
    of_purge: ["purge_digest", "allow_purged"],
    of_purged_blob: [],
    of_labels: ["add_label", "remove_label"],
    of_tags: ["move_tag", "change_tag", "delete_tag", "restore_tag"],
    of_restored_repository: ["restore_repository"],
    of_retention: ["plan_retention", "run_retention_plan"],
    of_lapses: [],
    of_lapses_in_a_deleted_repository: [],
    of_pulls: [],
    of_the_switch: ["switch_readonly_on", "switch_readonly_off"],
}
SILENT = {
    "run_job": "what the run does is told, where it does anything",
    "cancel_run": "the same",
    "create_rule": "rules say what may happen, and nothing has happened yet",
    "change_rule": "the same",
    "delete_rule": "the same",
    "try_protection": "changes nothing",
    "simulate_access": "changes nothing",
    "replay_events": "tells of what happened once more",
    "redeliver_letter": "the same",
    "drop_letter": "changes what is told, not what happened",
    "block_plugin": "happens to the registry's working, not to what it holds",
    "unblock_plugin": "the same",
    **dict.fromkeys(
        ("create_user", "change_user", "delete_user", "create_robot", "change_robot", "delete_robot"),
        "says who may ask, and changes nothing of what the registry holds",
    ),
    **dict.fromkeys(("create_team", "delete_team", "join_team", "leave_team"), "the same"),
    **dict.fromkeys(("create_key", "rotate_key", "delete_key", "rotate_token_key"), "the same"),
    **dict.fromkeys(("link_identity", "unlink_identity", "create_trust", "delete_trust"), "the same"),
    **dict.fromkeys(("explain_trusts", "request_login", "poll_login"), "the same"),
    **dict.fromkeys(("create_policy_rule", "change_policy_rule", "delete_policy_rule", "replace_policy"), "the same"),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_an_operation_writes_exactly_its_events(house, case):
    case(house)


def test_no_operation_is_left_out(direct):
    of_v2 = {
        rule.endpoint
        for rule in direct.app.url_map.iter_rules()
        if rule.rule.startswith("/v2") and rule.methods & {"PUT", "POST", "PATCH", "DELETE"}
    }
    of_api = {one.name for one in operations_of(direct.app) if one.method != "GET"}
    walked = {name for names in CASES.values() for name in names}
    assert walked | SILENT.keys() >= of_v2 | of_api
    assert walked <= of_v2 | of_api


def test_a_refused_or_lost_operation_tells_nothing(house, monkeypatch):
    push(house, A, "v1")
    house.direct.protect("v1")
    house.new()
    house.call("DELETE", TAG, status=(409, 403, 405))
    house.call("DELETE", f"{REPO}/-/tags/nothing", status=(404,))
    assert house.new() == []


@pytest.fixture
def emitting(start):
    class Emitting:
        @hookimpl
        def label_actions(self):
            def effects(value):
                return [Pin(), EmitEvent(**json.loads(value))]

            return [LabelAction("emit", effects)]

    return House(start(plugins=[Emitting()]))


def test_a_labels_action_tells_of_each_new_tag_and_of_the_label_added(emitting):
    data = {"channel": "#releases", "deep": [1, None]}
    made = image(layer({"f": b"e"}), labels={"emit": json.dumps({"name": "release.out", "data": data})})
    push(emitting, made, "v1", "v2", quiet=False)
    asked = [event for event in emitting.new() if event[0].startswith("label.")]
    assert asked == [
        ("label.release.out", "team/app", made.digest, {"tag": tag, "label": "emit", "data": data})
        for tag in ("v1", "v2")
    ]
    push(emitting, made, "v1", quiet=False)
    assert not [event for event in emitting.new() if event[0].startswith("label.")]
    push(emitting, A, "v1")
    emitting.call("POST", f"{OF}/labels", {"key": "emit", "value": '{"name": "x"}'})
    assert emitting.new()[1:] == [("label.x", "team/app", A.digest, {"tag": None, "label": "emit", "data": {}})]
    emitting.call("POST", f"{OF}/labels", {"key": "other", "value": ""})
    assert told(emitting) == [f"manifest.labelled {A.digest}"]
    emitting.call("PUT", f"{REPO}/-/tags/v9", {"digest": A.digest})
    assert [event[0] for event in emitting.new()] == ["tag.changed", "label.x"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"name": "Release"}, "an event is called by"),
        ({"name": ""}, "an event is called by"),
        ({"name": "a..b"}, "an event is called by"),
        ({"name": "a" * 200}, "an event is called by"),
        ({"name": 7}, "an event is called by"),
        ({"name": "x", "data": [1]}, "data is a mapping"),
        ({"name": "x", "data": {"a": "\u00e9" * 12_000}}, "65536 bytes long at most"),
    ],
)
def test_an_odd_event_is_a_warning_beside_the_label_and_nothing_is_told(emitting, asked, why):
    push(emitting, A, "v1")
    value = json.dumps(asked, ensure_ascii=False)
    added = emitting.call("POST", f"{OF}/labels", {"key": "emit", "value": value})
    assert why in added.json["warning"]
    assert [event[0] for event in emitting.new()] == ["manifest.labelled"]
