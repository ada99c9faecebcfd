"""Modules are taken, listed and labelled; what is none is refused."""

import pytest
from registry.testing.client import Refused
from registry.testing.content import DictContent, content_of, parse
from registry.testing.images import Blob, artifact, image, layer, to_json

import moorage_wasm
from moorage_wasm import CONFIG_TYPE, MODULE_TYPE

MODULE = Blob(b"\0asm\x01\0\0\0", MODULE_TYPE)
CONFIG = {
    "architecture": "wasm",
    "os": "wasip2",
    "component": {"exports": ["wasi:http/handler"], "imports": ["wasi:io/poll", "wasi:clocks/now"]},
}


@pytest.fixture
def moorage_plugins():
    return [moorage_wasm]


def made(*files, **changes):
    config = {name: value for name, value in {**CONFIG, **changes}.items() if value is not None}
    return artifact("", *(files or (MODULE,)), config=Blob(to_json(config), CONFIG_TYPE))


def test_a_module_is_pushed_pulled_and_labelled(moorage_client):
    pushed = moorage_client.push("team/module", made(), "v1")
    assert moorage_client.everything("team/module", "v1") == pushed.everything()
    labels = {key: label["value"] for key, label in moorage_client.labels("team/module", pushed.digest).items()}
    assert labels["org.example.wasm.os"] == "wasip2"
    assert labels["org.example.wasm.exports"] == "wasi:http/handler"
    assert labels["org.example.wasm.imports"] == "wasi:io/poll,wasi:clocks/now"


def test_the_module_is_a_layer():
    whole = made()
    (only,) = moorage_wasm.artifact_layers(parse(whole.media_type, whole.data))
    assert (str(only.digest), only.size, only.media_type) == (MODULE.digest, len(MODULE.data), MODULE_TYPE)


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        (made(architecture="amd64"), "architecture is wasm"),
        (made(architecture=None), "architecture is wasm"),
        (made(os="linux"), "os is wasip1 or wasip2"),
        (made(Blob(b"\x7fELF", MODULE_TYPE)), "no WASM module"),
        (made(Blob(b"", MODULE_TYPE)), "no WASM module"),
        (made(MODULE, Blob(b"\0asm2", MODULE_TYPE)), "one layer"),
        (made(Blob(b"text", "text/plain")), "one layer"),
        (artifact("", MODULE, config=Blob(b"[]", CONFIG_TYPE)), "not a JSON object"),
    ],
)
def test_what_is_no_module_is_refused(moorage_client, whole, reason):
    with pytest.raises(Refused) as refused:
        moorage_client.push("team/module", whole, "v1")
    assert (refused.value.status, refused.value.code) == (400, "MANIFEST_INVALID")
    assert reason in refused.value.reason


def test_other_artifacts_and_images_are_as_before(moorage_client):
    moorage_client.push("team/app", image(layer({"file": b"1"})), "v1")
    moorage_client.push("team/app", artifact("application/vnd.example.notes"), "notes")


@pytest.mark.parametrize("component", [None, 1, {"exports": 1}])
def test_a_config_without_a_component_gives_fewer_labels(component):
    whole = made(component=component)
    labels = moorage_wasm.artifact_labels(parse(whole.media_type, whole.data), content_of(whole))
    assert labels == {"org.example.wasm.os": "wasip2"}


def test_content_may_be_missing():
    parsed = parse(made().media_type, made().data)
    moorage_wasm.validate_artifact(parsed, DictContent())
    assert moorage_wasm.artifact_labels(parsed, DictContent()) == {}
