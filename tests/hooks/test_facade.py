"""The facade: owners, claims, and what a plugin's mistakes come to."""

from datetime import timedelta

import pytest

from registry.errors import ManifestInvalid, RegistryError
from registry.hooks import ExpireTag, LabelAction, ParsedManifest
from registry.hooks.facade import PluginFailed
from registry.hooks.manager import PluginError
from registry.testing.content import DictContent
from registry.testing.images import DOCKER, MANIFEST_TYPES, OCI, Blob, simple_image

NOTE = "application/vnd.example.note.v1+json"


def parse(media_type, payload):
    return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload)


def note(make_plugin, **functions):
    """Return a plugin that owns NOTE."""
    return make_plugin("note", **{"manifest_media_types": lambda: [NOTE], "parse_manifest": parse, **functions})


def test_manifest_media_types_are_collected_from_all(with_plugins, make_plugin):
    hooks = with_plugins(note(make_plugin)).services.hooks
    assert set(hooks.media_types) == {NOTE, *MANIFEST_TYPES}
    assert hooks.owns(NOTE)
    assert not hooks.owns("text/plain")


def test_parse_manifest_is_asked_of_the_owner_alone(with_plugins, make_plugin):
    asked = []

    def ask(payload):
        asked.append(payload)

    nosy = make_plugin("nosy", parse_manifest=ask)
    direct = with_plugins(nosy, note(make_plugin))
    assert direct.services.hooks.parse(NOTE, b"{}").media_type == NOTE
    direct.push(simple_image("a"), "v1")
    assert asked == []


@pytest.mark.parametrize(
    ("first", "second", "claimed"),
    [
        (
            {"manifest_media_types": lambda: [NOTE]},
            {"manifest_media_types": lambda: ["text/x", NOTE]},
            NOTE,
        ),
        (
            {"label_actions": lambda: [LabelAction("org.example.x", lambda value: [])]},
            {"label_actions": lambda: [LabelAction("org.example.x", lambda value: [])]},
            "org.example.x",
        ),
        (
            {"storage_drivers": lambda: {"tape": None}},
            {"storage_drivers": lambda: {"tape": None}},
            "tape",
        ),
    ],
    ids=["media type", "label", "scheme"],
)
def test_two_claimants_stop_the_start_with_both_names(with_plugins, make_plugin, first, second, claimed):
    with pytest.raises(PluginError) as refused:
        with_plugins(make_plugin("one", **first), make_plugin("two", **second))
    for word in (claimed, "one", "two"):
        assert word in str(refused.value)


def test_a_built_in_is_no_better_claimant(with_plugins, make_plugin):
    with pytest.raises(PluginError, match=r"oci_manifest.*mine|mine.*oci_manifest"):
        with_plugins(make_plugin("mine", manifest_media_types=lambda: [OCI.manifest]))


def test_a_blocked_built_in_can_be_replaced(with_plugins, make_plugin):
    mine = make_plugin("mine", manifest_media_types=lambda: [DOCKER.manifest], parse_manifest=parse)
    direct = with_plugins(mine, blocked_plugins=("schema2",))
    created = direct.put(Blob(b"no schema 2 at all", DOCKER.manifest), "v1")
    assert created.newly_created


@pytest.mark.parametrize(
    ("hook", "answer"),
    [
        ("manifest_media_types", 7),
        ("manifest_media_types", NOTE),
        ("label_actions", ["org.example.x"]),
        ("storage_drivers", ["tape"]),
    ],
)
def test_a_claim_of_the_wrong_type_switches_the_plugin_off_by_its_name(with_plugins, make_plugin, hook, answer):
    services = with_plugins(make_plugin("wrong", **{hook: lambda: answer})).services
    (status,) = [status for status in services.plugins if status.name == "wrong"]
    assert (status.state, status.reason.partition(": ")[0]) == ("failed", f"at the start it failed in {hook}")


def test_a_claim_that_raises_switches_off_what_the_plugin_decides_about(with_plugins, make_plugin):
    direct = with_plugins(note(make_plugin, label_actions=lambda: 1 / 0))
    done = direct.app.test_client().put("/v2/team/app/manifests/v1", data=b"{}", content_type=NOTE)
    assert done.status_code == 503
    assert done.json["errors"][0]["message"] == "plugin note failed in parse_manifest: it is switched off"
    direct.push(simple_image("a"), "v1")


def test_a_required_plugin_whose_claim_fails_stops_the_start(with_plugins, make_plugin):
    with pytest.raises(PluginError, match="wrong: at the start it failed in label_actions: ZeroDivisionError"):
        with_plugins(make_plugin("wrong", label_actions=lambda: 1 / 0), required_plugins=("wrong",))


WRONG = [
    ("parse_manifest", {"payload": b""}),
    ("manifest_children", 7),
    ("manifest_children", ["sha256:..."]),
    ("manifest_labels", ["a=b"]),
    ("manifest_labels", {"a": 1}),
    ("needs_empty_layer", "no"),
    ("legacy_image_ids", "one text"),
    ("legacy_image_ids", [1]),
]


@pytest.mark.parametrize(("hook", "answer"), WRONG)
def test_an_answer_of_the_wrong_type_is_a_500_that_names_the_plugin(with_plugins, make_plugin, hook, answer):
    direct = with_plugins(note(make_plugin, **{hook: lambda: answer}))
    done = direct.app.test_client().put("/v2/team/app/manifests/v1", data=b"{}", content_type=NOTE)
    assert done.status_code == 500
    (error,) = done.json["errors"]
    assert error["detail"] == {"plugin": "note", "hook": hook}
    assert error["message"].startswith(f"plugin note returned {type(answer).__name__}") or hook in error["message"]
    assert direct.rows("SELECT * FROM manifest") == []


RAISING = [
    "parse_manifest",
    "validate_manifest",
    "manifest_children",
    "manifest_labels",
    "needs_empty_layer",
    "legacy_image_ids",
]


@pytest.mark.parametrize("hook", RAISING)
def test_an_exception_is_a_500_that_names_the_plugin_and_the_next_request_works(with_plugins, make_plugin, hook):
    direct = with_plugins(note(make_plugin, **{hook: lambda: 1 / 0}))
    client = direct.app.test_client()
    done = client.put("/v2/team/app/manifests/v1", data=b"{}", content_type=NOTE)
    assert done.status_code == 500
    assert done.json["errors"][0]["detail"] == {"plugin": "note", "hook": hook}
    direct.push(simple_image("a"), "v1")
    assert client.get("/v2/team/app/manifests/v1").status_code == 200


def test_a_refusal_by_a_plugin_is_the_client_s_400(with_plugins, make_plugin):
    def refuse():
        raise ManifestInvalid("a note needs a text", detail={"field": "text"})

    direct = with_plugins(note(make_plugin, parse_manifest=refuse))
    done = direct.app.test_client().put("/v2/team/app/manifests/v1", data=b"{}", content_type=NOTE)
    assert (done.status_code, done.json["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
    assert done.json["errors"][0]["message"] == "a note needs a text"


def test_an_owner_that_does_not_parse_is_a_400(with_plugins, make_plugin):
    direct = with_plugins(make_plugin("note", manifest_media_types=lambda: [NOTE]))
    with pytest.raises(ManifestInvalid, match="owner does not know"):
        direct.put(Blob(b"{}", NOTE))


@pytest.mark.parametrize(
    "effects",
    [lambda value: 1 / 0, lambda value: None, lambda value: ["x"], lambda value: [ExpireTag("1d")]],
    ids=["raises", "none", "no effect", "no duration"],
)
def test_a_label_action_that_breaks_is_a_warning_and_no_refusal(with_plugins, make_plugin, effects):
    action = make_plugin("action", label_actions=lambda: [LabelAction("text", effects)])
    direct = with_plugins(action)
    direct.push(simple_image("a"), "v1")
    assert direct.labels(simple_image("a"))["text"].warning.startswith("the label's action failed: ")
    assert direct.periods("v1")[0].ending is None


def test_content_of_a_removed_plugin_stays_pullable_and_415_names_what_is_accepted(with_plugins, make_plugin):
    before = with_plugins(note(make_plugin))
    created = before.put(Blob(b'{"text": "x"}', NOTE), "v1")
    after = with_plugins()
    client = after.app.test_client()
    for reference in (created.manifest.digest, "v1"):
        pulled = client.get(f"/v2/team/app/manifests/{reference}", headers={"Accept": OCI.manifest})
        assert (pulled.status_code, pulled.data, pulled.content_type) == (200, b'{"text": "x"}', NOTE)
    refused = client.put("/v2/team/app/manifests/v2", data=b'{"text": "x"}', content_type=NOTE)
    assert refused.status_code == 415
    (error,) = refused.json["errors"]
    assert error["detail"] == {"mediaType": NOTE, "accepted": sorted(MANIFEST_TYPES)}


def test_the_facade_answers_for_what_nobody_owns(with_plugins):
    hooks = with_plugins().services.hooks
    stored = ParsedManifest(payload=b"x", media_type=NOTE, digest_bytes=b"x", annotations={"a": "b", "": "c"})
    content = DictContent()
    assert hooks.children(stored) == ()
    assert hooks.labels(stored, content) == {"a": "b"}
    assert hooks.layers(stored, content) == ()
    assert hooks.legacy_image_ids(stored, content) == ()
    assert hooks.legacy_images(stored, content, {}) == ()
    assert hooks.needs_empty_layer(stored, content) is False
    assert hooks.convert(stored, content, None) is None


def test_a_plugin_s_failure_is_one_of_the_registry_s_errors():
    assert issubclass(PluginFailed, RegistryError)
    assert PluginFailed.http_status == 500


def test_label_actions_are_collected_by_key(with_plugins, make_plugin):
    action = LabelAction("org.example.x", lambda value: [ExpireTag(timedelta(hours=1))])
    hooks = with_plugins(make_plugin("action", label_actions=lambda: [action])).services.hooks
    assert hooks.label_actions["org.example.x"] is action
    assert {"quay.expires-after", "org.moorage.expires-after"} <= set(hooks.label_actions)
