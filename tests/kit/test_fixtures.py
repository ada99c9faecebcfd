"""The throw-away registry that others get in their tests."""

import json
import socket
from datetime import timedelta
from types import ModuleType

import httpx
import pytest

from registry.hooks import ExpireTag, LabelAction, ParsedManifest, StorageFull, hookimpl
from registry.testing.client import Refused
from registry.testing.images import Manifest, artifact, image, layer, simple_image, simple_index, to_json

NOTE = "application/vnd.example.note.v1+json"


def note(name="note"):
    module = ModuleType(name)
    module.manifest_media_types = hookimpl(lambda: [NOTE])
    module.parse_manifest = hookimpl(
        lambda media_type, payload: ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload)
    )
    return module


def test_what_is_pushed_is_pulled_with_tags_labels_and_referrers(moorage_client):
    pushed = moorage_client.push("team/app", simple_image("one"), "v1", "latest")
    assert moorage_client.everything("team/app", "v1") == pushed.everything()
    assert moorage_client.tags("team/app") == ["latest", "v1"]
    assert moorage_client.labels("team/app", pushed.digest)["text"]["value"] == "one"
    signature = moorage_client.push("team/app", artifact("application/vnd.example.signature", subject=pushed))
    assert [one["digest"] for one in moorage_client.referrers("team/app", pushed.digest)] == [signature.digest]
    moorage_client.tag("team/app", "stable", pushed.digest)
    assert moorage_client.digest("team/app", "stable") == pushed.digest
    moorage_client.delete_manifest("team/app", "latest")
    assert moorage_client.tags("team/app") == ["stable", "v1"]


def test_a_label_is_added_and_acts(moorage_client):
    pushed = moorage_client.push("team/app", simple_image("one"), "v1")
    moorage_client.add_label("team/app", pushed.digest, "quay.expires-after", "1h")
    assert moorage_client.tag_details("team/app", "v1")["until"] is not None


def test_each_test_has_an_empty_registry(moorage_client):
    assert moorage_client.catalog() == []


def test_a_refusal_is_readable(moorage_client):
    moorage_client.push("team/app", simple_image("one"), "v1")
    with pytest.raises(Refused, match="MANIFEST_UNKNOWN") as refused:
        moorage_client.manifest("team/app", "absent")
    assert (refused.value.status, refused.value.code) == (404, "MANIFEST_UNKNOWN")
    assert "absent" in str(refused.value)
    with pytest.raises(Refused) as refused:
        moorage_client.tag_details("team/app", "absent")
    assert (refused.value.status, refused.value.code, bool(refused.value.reason)) == (404, "MANIFEST_UNKNOWN", True)


def test_a_server_answers_over_http_and_ends_with_the_test(moorage_server, moorage_client):
    with moorage_server.client() as client:
        pushed = client.push("team/app", simple_index("one"), "v1")
        assert client.everything("team/app", "v1") == pushed.everything()
    assert moorage_client.digest("team/app", "v1") == pushed.digest
    assert httpx.get(f"{moorage_server.url}/v2/", trust_env=False).status_code == 200


def test_a_client_that_hangs_on_does_not_hold_the_end_up(moorage_server):
    lingering = httpx.Client(base_url=moorage_server.url, trust_env=False)
    lingering.get("/v2/")
    with socket.create_connection(("127.0.0.1", moorage_server.port)):
        pass


@pytest.mark.moorage(plugins=[note()])
class TestWithAPlugin:
    def test_it_is_one_of_the_registry_s(self, moorage_client):
        moorage_client.push("team/app", Manifest(b"{}", NOTE), "v1")

    @pytest.mark.moorage(plugins=[note("another")], settings={"blocked_plugins": ("note",)})
    def test_marks_add_up(self, moorage_app):
        states = {plugin.name: plugin.state for plugin in moorage_app.extensions["moorage"].plugins}
        assert (states["note"], states["another"]) == ("blocked", "active")


def by_hours(value):
    return [ExpireTag(timedelta(hours=int(value)))]


@pytest.fixture
def moorage_plugins():
    module = ModuleType("hours")
    module.label_actions = hookimpl(lambda: [LabelAction("org.example.hours", by_hours)])
    return [module]


def test_time_is_moved(moorage_client, moorage_clock):
    moorage_client.push("team/app", image(layer({"a": b"1"}), labels={"org.example.hours": "48"}), "v1")
    before = moorage_clock.now
    moorage_clock.advance(hours=1, days=1)
    assert moorage_client.tags("team/app") == ["v1"]
    moorage_clock.advance(hours=23)
    assert moorage_clock.now - before == timedelta(hours=48)
    assert moorage_client.tags("team/app") == []
    with pytest.raises(ValueError, match="backwards"):
        moorage_clock.advance(-1)


def test_the_worker_does_what_is_due(moorage_app, moorage_client, moorage_clock, moorage_worker):
    pushed = moorage_client.push("team/app", simple_image("one"), "v1")
    moorage_client.delete_manifest("team/app", pushed.digest)
    moorage_clock.advance(days=60)
    assert moorage_worker()
    moorage_clock.advance(days=60)
    assert moorage_worker()
    with pytest.raises(Refused, match="BLOB_UNKNOWN"):
        moorage_client.blob("team/app", pushed.config.digest)


def test_the_storage_fails_as_planned(moorage_client, moorage_faults):
    moorage_client.push("team/app", simple_image("one"), "v1")
    moorage_faults.fail("write", nth=2, error=StorageFull("no room"))
    with pytest.raises(Refused) as refused:
        moorage_client.push("team/app", simple_image("two"), "v2")
    assert refused.value.status == 507
    moorage_client.push("team/app", simple_image("two"), "v2")


def test_faults_want_a_registry(moorage_faults):
    with pytest.raises(RuntimeError, match="moorage_app"):
        moorage_faults.fail("read")


@pytest.mark.moorage(storage="file")
def test_blobs_are_kept_in_files(moorage_app, moorage_client):
    moorage_client.push("team/app", simple_image("one"), "v1")
    assert moorage_app.extensions["moorage"].storage.storage_id == "file"


def test_builders_make_what_is_asked_for():
    made = image(layer({"a": b"1"}), labels={"a": "b"}, created="2020-01-01T00:00:00Z")
    told = json.loads(made.config.data)
    assert {told["created"], *(step["created"] for step in told["history"])} == {"2020-01-01T00:00:00Z"}
    config = Manifest(to_json({"a": 1}), "application/vnd.example.config.v1+json")
    typed = artifact("", config=config)
    assert typed.config is config
    assert "artifactType" not in typed.body
