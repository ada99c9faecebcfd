"""Who may work with some tags of a repository leaves its others alone, whichever way is tried."""

import pytest

from registry.testing.images import simple_image

API = "/api/v1/repositories/team/app"
SHARED, OWN, GONE = (simple_image(text) for text in ("shared", "own", "gone"))


@pytest.fixture
def town(registry):
    """Give a registry with a user who may do all with tags that start with dev-."""
    registry.user("dev")
    registry.rule("dev", "user:dev", ["team/*"], role="admin", tags=["dev-*"])
    registry.push("team/app", "dev-1", "prod-1", text="shared")
    registry.push("team/app", "dev-2", text="own")
    registry.push("team/app", "prod-2", text="gone")
    registry.chief("DELETE", f"/v2/team/app/manifests/{GONE.digest}")
    return registry


def put(image, reference):
    more = {"data": image.data, "content_type": image.media_type}
    return "PUT", f"/v2/team/app/manifests/{reference}", more


LABEL = {"json": {"key": "quay.expires-after", "value": "1s"}}
REFUSED = [
    put(OWN, "prod-1"),
    put(OWN, f"{OWN.digest}?tag=dev-3&tag=prod-1"),
    ("DELETE", "/v2/team/app/manifests/prod-1", {}),
    ("DELETE", f"/v2/team/app/manifests/{SHARED.digest}", {}),
    ("DELETE", f"{API}/-/manifests/{SHARED.digest}", {}),
    ("DELETE", f"/v2/team/app/blobs/{SHARED.blobs[0].digest}", {}),
    ("DELETE", f"{API}/-/tags/prod-1", {}),
    ("PUT", f"{API}/-/tags/prod-1", {"json": {"digest": OWN.digest}}),
    ("PATCH", f"{API}/-/tags/prod-1", {"json": {"expires": None}}),
    ("POST", f"{API}/-/tags/prod-2/restore", {"json": {}}),
    ("POST", f"{API}/-/manifests/{GONE.digest}/restore", {"json": {}}),
    ("POST", f"{API}/-/manifests/{SHARED.digest}/labels", LABEL),
    ("POST", f"{API}/-/retention", {"json": {}}),
    ("DELETE", API, {}),
    ("PATCH", API, {"json": {"description": "mine"}}),
    ("POST", f"{API}/-/rename", {"json": {"name": "team/dev-1"}}),
    (
        "POST",
        "/api/v1/rules",
        {"json": {"name": "dev-1", "kind": "retention", "definition": {}, "repository": "team/app"}},
    ),
    ("POST", "/api/v1/jobs/dev-1/runs", {"json": {}}),
    ("PUT", "/api/v1/plugins/dev-1/block", {"json": {"reason": "x"}}),
]
ALLOWED = [
    put(OWN, "dev-1"),
    put(OWN, OWN.digest),
    ("GET", "/v2/team/app/manifests/dev-1", {}),
    ("GET", f"/v2/team/app/manifests/{SHARED.digest}", {}),
    ("POST", f"{API}/-/manifests/{OWN.digest}/labels", LABEL),
    ("PUT", f"{API}/-/tags/dev-9", {"json": {"digest": OWN.digest}}),
    ("POST", "/v2/team/app/blobs/uploads/", {}),
    ("DELETE", "/v2/team/app/manifests/dev-2", {}),
    ("DELETE", f"{API}/-/tags/dev-1", {}),
]


def test_the_others_are_left_alone(town):
    for method, path, more in REFUSED:
        answer = town.client.open(path, method=method, headers=town.as_("dev"), **more)
        assert answer.status_code == 403, (method, path, answer.text)
    assert town.chief("GET", "/v2/team/app/tags/list").json["tags"] == ["dev-1", "dev-2", "prod-1"]
    for method, path, more in ALLOWED:
        answer = town.client.open(path, method=method, headers=town.as_("dev"), **more)
        assert answer.status_code < 300, (method, path, answer.text)


def test_tags_that_nobody_deletes_stay(registry):
    registry.user("dev")
    registry.rule("dev", "user:dev", ["team/*"], role="admin")
    registry.rule("kept", "everybody", ["team/*"], actions=["delete"], tags=["prod-*"])
    registry.push("team/app", "dev-1", "prod-1", text="shared")
    header = registry.as_("dev")
    for path in (f"/v2/team/app/manifests/{SHARED.digest}", "/v2/team/app/manifests/prod-1", API):
        assert registry.client.delete(path, headers=header).status_code == 403
    assert registry.client.delete("/v2/team/app/manifests/dev-1", headers=header).status_code == 202
    assert registry.client.patch(API, json={"description": "mine"}, headers=header).status_code == 200
