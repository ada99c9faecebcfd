"""Owners of artifact types, through a whole app."""

import pytest

from registry.errors import ManifestInvalid
from registry.hooks import Layer, decode_object
from registry.hooks.facade import PluginFailed
from registry.hooks.manager import PluginError
from registry.testing.images import OCI, Blob, Manifest, artifact, image, layer, simple_image, to_json

MODEL = "application/vnd.example.model.v1"
WEIGHTS = Blob(b"0.5 0.25", "application/vnd.example.weights")
A_MODEL = artifact(MODEL, WEIGHTS, annotations={"org.example.author": "Ada"})
OTHER = artifact("application/vnd.example.other.v1", WEIGHTS)


@pytest.fixture
def start(with_plugins, make_plugin):
    """Give the function that makes an app whose models have these hooks."""

    def make(**functions):
        return with_plugins(make_plugin("models", **{"artifact_types": lambda: [MODEL], **functions}))

    return make


def parsed(direct, manifest):
    return direct.services.hooks.parse(manifest.media_type, manifest.data)


def shown(direct, manifest):
    with direct.app.test_client() as client:
        answer = client.get(f"/api/v1/repositories/team/app/-/manifests/{manifest.digest}")
    assert answer.status_code == 200, answer.text
    return answer.json


def test_artifact_types_are_given_with_the_plugin_s_context(with_plugins, make_plugin):
    told = []

    def types(context):
        told.append(context.plugin)
        return [MODEL]

    direct = with_plugins(make_plugin("models", artifact_types=types))
    assert told == ["models"]
    assert direct.services.hooks.artifact_types[MODEL] == "models"


def test_artifact_types_of_two_plugins_stop_the_start_with_both_names(with_plugins, make_plugin):
    with pytest.raises(PluginError, match=f"{MODEL} is claimed by two plugins: one and two"):
        with_plugins(*(make_plugin(name, artifact_types=lambda: [MODEL]) for name in ("one", "two")))


@pytest.mark.parametrize("answer", [MODEL, 7, [7], [""]])
def test_artifact_types_that_are_none_switch_the_plugin_off(with_plugins, make_plugin, answer):
    services = with_plugins(make_plugin("odd", artifact_types=lambda: answer)).services
    (status,) = [status for status in services.plugins if status.name == "odd"]
    assert (status.state, status.reason.partition(": ")[0]) == ("failed", "at the start it failed in artifact_types")


def test_validate_artifact_refuses_on_top_of_the_format(start):
    def check(manifest, content):
        if content.read(manifest.blobs[1].descriptor.digest) != b"good":
            raise ManifestInvalid("these weights are no good")

    direct = start(validate_artifact=check)
    with pytest.raises(ManifestInvalid, match="these weights are no good"):
        direct.push(A_MODEL, "v1")
    direct.push(artifact(MODEL, Blob(b"good")), "v1")
    direct.push(OTHER, "v2")
    direct.push(simple_image("app"), "v3")
    assert direct.tags() == ["v1", "v2", "v3"]


def test_artifact_layers_are_shown_instead_of_the_format_s(start):
    def files(manifest):
        return [Layer(blob.descriptor.digest, blob.descriptor.size, comment="weights") for blob in manifest.blobs[1:]]

    direct = start(artifact_layers=files)
    direct.push(A_MODEL, "v1")
    direct.push(OTHER, "v2")
    (found,) = shown(direct, A_MODEL)["layers"]
    assert (found["digest"], found["size"], found["comment"]) == (WEIGHTS.digest, 8, "weights")
    (plain,) = shown(direct, OTHER)["layers"]
    assert (plain["digest"], plain["comment"]) == (WEIGHTS.digest, "")


def test_artifact_layers_of_nothing_said_are_the_format_s(start):
    direct = start(artifact_layers=lambda: None)
    direct.push(A_MODEL, "v1")
    assert [one["digest"] for one in shown(direct, A_MODEL)["layers"]] == [WEIGHTS.digest]


def test_artifact_layers_that_fail_leave_the_manifest_shown(start):
    direct = start(artifact_layers=lambda: 1 / 0)
    direct.push(A_MODEL, "v1")
    assert shown(direct, A_MODEL)["layers"] is None
    assert direct.get("v1").payload == A_MODEL.data


def test_artifact_labels_come_on_top_of_the_format_s_and_take_effect(start):
    def labels(manifest, content):
        return {"org.moorage.expires-after": "1h", "org.example.author": "Bob", "": "nothing"}

    direct = start(artifact_labels=labels)
    direct.push(A_MODEL, "v1")
    assert {key: row.value for key, row in direct.labels(A_MODEL).items()} == {
        "org.moorage.expires-after": "1h",
        "org.example.author": "Ada",  # what the pusher wrote stays
    }
    assert direct.periods("v1")[0].ending == direct.clock.now + 3_600_000


@pytest.mark.parametrize(
    ("hook", "answer"),
    [("artifact_labels", {1: 2}), ("artifact_labels", ["a"]), ("artifact_layers", [7]), ("artifact_layers", "no")],
)
def test_what_an_owner_returns_is_checked_by_its_name(start, hook, answer):
    hooks = start(**{hook: lambda: answer}).services.hooks
    manifest = hooks.parse(A_MODEL.media_type, A_MODEL.data)
    with pytest.raises(PluginFailed, match=f"plugin models failed in {hook}: it returned"):
        getattr(hooks, hook.removeprefix("artifact_"))(manifest, None)


def test_an_artifact_s_type_may_be_that_of_its_config(with_plugins, make_plugin):
    config = "application/vnd.example.model.config.v1+json"

    def labels(manifest, content):
        return {"name": decode_object(content.read(manifest.config.digest))["name"]}

    direct = with_plugins(make_plugin("models", artifact_types=lambda: [config], artifact_labels=labels))
    made = image(layer({"w": b"1"}))
    parts = Blob(b'{"name": "boat"}', config)
    body = decode_object(made.data) | {"config": parts.descriptor()}
    model = Manifest(to_json(body), OCI.manifest, blobs=(parts, *made.layers))
    direct.push(model, "v1")
    assert direct.labels(model)["name"].value == "boat"
