"""From format to format, for clients that know only another."""

import json

import pytest

from registry import signing
from registry.digest import Digest
from registry.formats import oci_index, oci_manifest, schema1, schema2
from registry.formats._legacy import MAX_STEPS
from registry.formats._steps import EMPTY_LAYER
from registry.hooks.types import ConversionRequest
from registry.testing.content import content_of
from registry.testing.images import DOCKER, OCI, Blob, artifact, image, layer, simple_image, simple_index, to_json
from tests.formats.corpus import SIGNED, UNSIGNED
from tests.formats.owners import owner_of

PEM = signing.generate_private_key_pem()
PAIRS = [pytest.param(schema2, DOCKER, OCI, id="docker-oci"), pytest.param(oci_manifest, OCI, DOCKER, id="oci-docker")]


def request(wanted):
    return ConversionRequest(wanted, "moorage/test", "1.0", lambda payload: signing.sign_schema1(PEM, payload))


def convert(whole, wanted, content=None):
    owner = owner_of(whole.media_type)
    parsed = owner.parse_manifest(whole.media_type, whole.data)
    return owner.convert_manifest(parsed, content or content_of(whole), request(wanted))


def one_layer_of(media_type, flavour=OCI):
    whole = image(layer({"a": b"1"}, flavour), flavour=flavour)
    entry = whole.body["layers"][0] | {"mediaType": media_type}
    body = to_json(whole.body | {"layers": [entry]})
    return owner_of(flavour.manifest).parse_manifest(flavour.manifest, body), content_of(whole)


@pytest.mark.parametrize(("format_", "source", "target"), PAIRS)
def test_docker_and_oci_differ_in_media_types_alone(format_, source, target):
    whole = image(layer({"a": b"1"}, source), flavour=source, annotations={"a": "b"})
    result = convert(whole, target.manifest)
    body = json.loads(result.payload)
    assert list(body)[:2] == ["schemaVersion", "mediaType"]
    assert (body["mediaType"], result.media_type) == (target.manifest, target.manifest)
    assert body["config"] == whole.body["config"] | {"mediaType": target.config}
    assert body["layers"] == [whole.body["layers"][0] | {"mediaType": target.gzip_layer}]
    assert body["annotations"] == {"a": "b"}
    assert result.digest_bytes == result.payload
    back = owner_of(target.manifest).convert_manifest(result, content_of(whole), request(source.manifest))
    assert json.loads(back.payload) == whole.body
    assert convert(whole, target.manifest).payload == result.payload


@pytest.mark.parametrize(
    ("docker", "oci"),
    [
        (DOCKER.layer, OCI.layer),
        (DOCKER.gzip_layer, OCI.gzip_layer),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        ),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
        ),
    ],
)
def test_layer_types_have_a_counterpart(docker, oci):
    for flavour, target, here, there in ((DOCKER, OCI, docker, oci), (OCI, DOCKER, oci, docker)):
        parsed, content = one_layer_of(here, flavour)
        result = owner_of(flavour.manifest).convert_manifest(parsed, content, request(target.manifest))
        assert json.loads(result.payload)["layers"][0]["mediaType"] == there


@pytest.mark.parametrize("wanted", [DOCKER.manifest, SIGNED, UNSIGNED])
@pytest.mark.parametrize("suffix", ["v1.tar+zstd", "v1.tar+gzip+encrypted", "v2.future"])
def test_what_would_be_lost_is_not_converted(suffix, wanted):
    parsed, content = one_layer_of(f"application/vnd.oci.image.layer.{suffix}")
    assert parsed.is_image
    assert oci_manifest.convert_manifest(parsed, content, request(wanted)) is None


def test_what_is_no_image_is_not_converted_although_it_looks_like_one():
    whole = simple_image("x")
    body = to_json(whole.body | {"artifactType": "application/vnd.example"})
    parsed = oci_manifest.parse_manifest(OCI.manifest, body)
    for wanted in (DOCKER.manifest, SIGNED):
        assert oci_manifest.convert_manifest(parsed, content_of(whole), request(wanted)) is None


def test_absurdly_many_steps_mean_no_schema_1():
    part = layer({"a": b"1"})
    assert convert(image(part, empty_steps=MAX_STEPS - 1), SIGNED) is not None
    assert convert(image(part, empty_steps=MAX_STEPS), SIGNED) is None


def test_artifacts_and_unknown_wishes_are_not_converted():
    for wanted in (DOCKER.manifest, SIGNED):
        assert convert(artifact("application/vnd.example"), wanted) is None
    for wanted in (OCI.manifest, OCI.index, DOCKER.index, "application/vnd.example"):
        assert convert(simple_image("x"), wanted) is None


@pytest.mark.parametrize("flavour", [DOCKER, OCI], ids=lambda flavour: flavour.name)
def test_an_image_becomes_signed_schema_1(flavour):
    whole = image(layer({"a": b"1"}, flavour), layer({"b": b"2"}, flavour), flavour=flavour, empty_steps=1)
    result = convert(whole, SIGNED)
    body = json.loads(result.payload)
    assert (body["schemaVersion"], body["name"], body["tag"]) == (1, "moorage/test", "1.0")
    assert body["architecture"] == "amd64"
    assert [entry["blobSum"] for entry in body["fsLayers"]] == [
        str(EMPTY_LAYER),
        whole.layers[1].digest,
        whole.layers[0].digest,
    ]
    parsed = schema1.parse_manifest(SIGNED, result.payload)
    assert parsed.digest_bytes == result.digest_bytes
    assert [one.created_by for one in schema1.manifest_layers(parsed)] == [
        "COPY layer-0 /",
        "COPY layer-1 /",
        "",  # the leaf's JSON is the image's own configuration, which has no container_config
    ]
    assert [one.empty for one in schema1.manifest_layers(parsed)] == [False, False, True]
    assert Digest.of(convert(whole, SIGNED).digest_bytes) == Digest.of(result.digest_bytes)


def test_schema_1_ids_are_docker_s():
    """Golden: the same bytes through Docker's own rule, sha256 of "blob parent[ config]"."""
    whole = image(layer({"a": b"1"}), layer({"b": b"2"}))
    history = json.loads(convert(whole, UNSIGNED).payload)["history"]
    leaf, base = (json.loads(entry["v1Compatibility"]) for entry in history)
    hexes = [part.digest.partition(":")[2] for part in whole.layers]
    base_id = Digest.of(f"{hexes[0]} ".encode()).encoded
    assert base == {
        "id": base_id,
        "created": "2024-02-29T12:00:00Z",
        "container_config": {"Cmd": ["COPY layer-0 /"]},
    }
    assert leaf["id"] == Digest.of(f"{hexes[1]} {base_id} ".encode() + whole.config.data).encoded
    assert leaf["parent"] == base_id
    config = json.loads(whole.config.data)
    assert {key: value for key, value in leaf.items() if key not in {"id", "parent"}} == {
        key: value for key, value in config.items() if key not in {"history", "rootfs"}
    }


def test_labels_survive_the_way_to_schema_1():
    result = convert(simple_image("x"), SIGNED)
    assert schema1.manifest_labels(schema1.parse_manifest(SIGNED, result.payload)) == {"text": "x"}


def test_times_that_go_cannot_read_are_left_out():
    whole = simple_image("x")
    config = json.loads(whole.config.data)
    config["history"][0]["created"] = "yesterday"
    blob = Blob(to_json(config), OCI.config)
    parsed = oci_manifest.parse_manifest(OCI.manifest, to_json(whole.body | {"config": blob.descriptor()}))
    content = content_of(whole)
    content.add(blob.data)
    body = json.loads(oci_manifest.convert_manifest(parsed, content, request(UNSIGNED)).payload)
    assert json.loads(body["history"][-1]["v1Compatibility"])["created"] == "0001-01-01T00:00:00Z"


def test_an_image_without_history_becomes_schema_1_by_its_layers():
    whole = image(layer({"a": b"1"}), layer({"b": b"2"}))
    blob = Blob(b"{}", OCI.config)
    parsed = oci_manifest.parse_manifest(OCI.manifest, to_json(whole.body | {"config": blob.descriptor()}))
    content = content_of(whole)
    content.add(b"{}")
    result = oci_manifest.convert_manifest(parsed, content, request(SIGNED))
    assert len(schema1.parse_manifest(SIGNED, result.payload).blobs) == 2


@pytest.mark.parametrize("config", [None, b"not JSON", b'{"history": 1}'])
def test_a_config_that_cannot_be_read_means_no_schema_1(config):
    whole = simple_image("x")
    content = content_of(whole)
    content.remove(whole.config)
    if config is not None:
        content.blobs[whole.config.digest] = config
    assert convert(whole, SIGNED, content) is None


def test_no_layers_or_remote_ones_mean_no_schema_1():
    assert convert(image(), SIGNED) is None
    parsed, content = one_layer_of("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    assert oci_manifest.convert_manifest(parsed, content, request(SIGNED)) is None


def test_a_list_reaches_schema_1_in_two_steps():
    whole = simple_index("x")
    content = content_of(whole)
    step = oci_index.convert_manifest(oci_index.parse_manifest(whole.media_type, whole.data), content, request(SIGNED))
    result = owner_of(step.media_type).convert_manifest(step, content, request(SIGNED))
    assert schema1.parse_manifest(SIGNED, result.payload).is_image


def test_schema_1_is_signed_and_unsigned_and_leads_nowhere_else():
    unsigned = schema1.parse_manifest(UNSIGNED, convert(simple_image("x"), UNSIGNED).payload)
    signed = schema1.convert_manifest(unsigned, request(SIGNED))
    parsed = schema1.parse_manifest(SIGNED, signed.payload)
    assert parsed.digest_bytes == unsigned.payload
    assert schema1.convert_manifest(parsed, request(UNSIGNED)).payload == unsigned.payload
    assert schema1.convert_manifest(parsed, request(DOCKER.manifest)) is None
