"""Image manifests of Docker and OCI: what is read from them and from their config."""

import base64
import json

import pytest

from registry.digest import Digest
from registry.errors import ManifestInvalid
from registry.formats import oci_manifest, schema2
from registry.formats._image_config import MAX_HISTORY
from registry.testing.content import DictContent, content_of
from registry.testing.images import DOCKER, EMPTY_CONFIG, OCI, Blob, artifact, image, layer, simple_image, to_json

FORMATS = [pytest.param(schema2, DOCKER, id="docker"), pytest.param(oci_manifest, OCI, id="oci")]
both = pytest.mark.parametrize(("format_", "flavour"), FORMATS)
SUBJECT = Blob(b"subject", OCI.manifest)


def parse(manifest, **changes):
    body = {key: value for key, value in (manifest.body | changes).items() if value is not ...}
    owner = oci_manifest if manifest.media_type == OCI.manifest else schema2
    return owner.parse_manifest(manifest.media_type, to_json(body))


def with_config(config, flavour=OCI, layers=2):
    """Build an image whose config is these bytes; return it parsed, and its content."""
    parts = [layer({f"{number}": b"x"}, flavour) for number in range(layers)]
    whole = image(*parts, flavour=flavour)
    blob = Blob(config, flavour.config)
    content = content_of(whole)
    content.add(config)
    return parse(whole, config=blob.descriptor()), content


@both
def test_an_image_is_read_in_full(format_, flavour):
    whole = simple_image("x", flavour)
    parsed = format_.parse_manifest(whole.media_type, whole.data)
    assert (parsed.payload, parsed.digest_bytes, parsed.media_type) == (whole.data, whole.data, whole.media_type)
    assert str(parsed.config.digest) == whole.config.digest
    assert [str(blob.descriptor.digest) for blob in parsed.blobs] == [part.digest for part in whole.blobs]
    assert [blob.descriptor.size for blob in parsed.blobs] == [len(part.data) for part in whole.blobs]
    assert all(blob.distributable for blob in parsed.blobs)
    assert (parsed.children, parsed.subject, parsed.is_image) == ((), None, True)
    assert parsed.artifact_type == flavour.config


@both
def test_the_stored_bytes_are_those_received(format_, flavour):
    payload = json.dumps(simple_image("x", flavour).body, indent=7).encode() + b"\n\n"
    assert format_.parse_manifest(flavour.manifest, payload).payload == payload


def test_an_oci_image_may_leave_its_type_out_and_a_docker_one_not():
    assert parse(simple_image("x"), mediaType=...).media_type == OCI.manifest
    with pytest.raises(ManifestInvalid, match="mediaType is required"):
        parse(simple_image("x", DOCKER), mediaType=...)


def test_unknown_fields_and_media_types_are_fine():
    body = simple_image("x").body
    config = body["config"] | {"mediaType": "application/vnd.example+json;version=0.3", "x": {"y": [1]}}
    parsed = parse(simple_image("x"), config=config, extra=[1.5, None], layers=[])
    assert parsed.config.media_type == "application/vnd.example+json;version=0.3"
    assert not parsed.is_image


def test_what_clients_write_for_nothing_is_nothing():
    config = simple_image("x").body["config"] | {"urls": None, "annotations": None, "platform": None, "data": None}
    assert parse(simple_image("x"), annotations=None, config=config).annotations == {}


def test_embedded_data_that_matches_is_taken():
    config = EMPTY_CONFIG.descriptor(data=base64.b64encode(b"{}").decode())
    assert parse(artifact("application/vnd.example"), config=config).config.size == 2
    other = EMPTY_CONFIG.descriptor(data=base64.b64encode(b"[]").decode())
    with pytest.raises(ManifestInvalid, match=r"config\.data is not the content"):
        parse(artifact("application/vnd.example"), config=other)
    with pytest.raises(ManifestInvalid, match=r"config\.data is not of the descriptor's size"):
        parse(artifact("application/vnd.example"), config=config | {"size": 3})


def test_digests_of_both_algorithms_are_taken():
    blob = Blob(b"x", OCI.gzip_layer, algorithm="sha512")
    assert parse(simple_image("x"), layers=[blob.descriptor()]).blobs[1].descriptor.digest.algorithm == "sha512"


def test_an_artifact_keeps_its_type_and_subject():
    parsed = parse(artifact("application/vnd.example.sbom", subject=SUBJECT, annotations={"a": "b", "": "c"}))
    assert (parsed.artifact_type, parsed.is_image) == ("application/vnd.example.sbom", False)
    assert (str(parsed.subject.digest), parsed.subject.size) == (SUBJECT.digest, 7)
    assert oci_manifest.manifest_labels(parsed, DictContent()) == {"a": "b"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"layers": []}, True),
        ({"artifactType": "application/vnd.example"}, False),
        ({"layers": [Blob(b"x", "application/vnd.in-toto+json").descriptor()]}, False),
        ({"layers": [Blob(b"x", "application/vnd.dev.cosign.simplesigning.v1+json").descriptor()]}, False),
        ({"layers": [Blob(b"x", "application/vnd.oci.image.layer.v1.tar+zstd").descriptor()]}, True),
        ({"config": EMPTY_CONFIG.descriptor()}, False),
        ({"config": Blob(b"{}", "application/vnd.cncf.helm.config.v1+json").descriptor()}, False),
    ],
)
def test_only_what_runs_is_an_image(changes, expected):
    assert parse(simple_image("x"), **changes).is_image is expected


def test_configs_as_docker_1_10_named_them_are_images():
    config = simple_image("x", DOCKER).body["config"] | {"mediaType": "application/octet-stream"}
    assert parse(simple_image("x", DOCKER), config=config).is_image
    assert not parse(simple_image("x", DOCKER), config=config, layers=[]).is_image
    assert not parse(simple_image("x"), config=config).is_image


@pytest.mark.parametrize(
    ("media_type", "distributable"),
    [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", False),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", False),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", False),
        ("application/vnd.oci.image.layer.v1.tar+gzip", True),
        ("application/octet-stream", True),
    ],
)
def test_foreign_layers_need_not_be_here(media_type, distributable):
    entry = Blob(b"x", media_type).descriptor(urls=["https://example.com/x"])
    parsed = parse(simple_image("x"), layers=[entry])
    assert [blob.distributable for blob in parsed.blobs] == [True, distributable]
    listed = oci_manifest.manifest_layers(parsed, content_of(simple_image("x")))
    assert list(listed[0].urls) == ["https://example.com/x"]


@both
def test_layers_carry_their_history(format_, flavour):
    whole = simple_image("x", flavour)
    listed = format_.manifest_layers(format_.parse_manifest(whole.media_type, whole.data), content_of(whole))
    assert [(str(one.digest), one.size) for one in listed[:2]] == [
        (part.digest, len(part.data)) for part in whole.layers
    ]
    assert [one.created_by for one in listed] == ["COPY layer-0 /", "COPY layer-1 /", "ENV STEP=0"]
    assert [one.empty for one in listed] == [False, False, True]
    assert (listed[2].digest, listed[2].size, listed[2].media_type) == (None, 0, "")


@pytest.mark.parametrize(
    "history",
    [None, [], [{"created_by": "one"}], [{"created_by": "a"}] * 3, [{"created_by": "e", "empty_layer": True}]],
)
def test_a_history_that_does_not_fit_is_left_out(history):
    parsed, content = with_config(to_json({"history": history}))
    oci_manifest.validate_manifest(parsed, content)
    listed = oci_manifest.manifest_layers(parsed, content)
    assert [(one.digest, one.created_by) for one in listed] == [
        (blob.descriptor.digest, "") for blob in parsed.blobs[1:]
    ]
    assert len(oci_manifest.legacy_image_ids(parsed, content)) == 2


def test_an_empty_step_asks_for_the_empty_layer():
    entry = {"created_by": "e", "empty_layer": True}
    for history, expected in (([entry], True), ([entry, {}, {}], True), ([{}, {"empty_layer": False}], False)):
        parsed, content = with_config(to_json({"history": history}))
        assert oci_manifest.needs_empty_layer(parsed, content) is expected


def test_annotations_overlay_config_labels():
    whole = image(
        layer({"a": b"1"}), labels={"a": "config", "b": "config", "": "x"}, annotations={"b": "own", "c": "own"}
    )
    parsed = oci_manifest.parse_manifest(whole.media_type, whole.data)
    assert oci_manifest.manifest_labels(parsed, content_of(whole)) == {"a": "config", "b": "own", "c": "own"}


def test_without_its_config_an_image_has_no_more_than_it_says():
    whole = image(layer({"a": b"1"}), labels={"a": "config"}, annotations={"b": "own"}, empty_steps=1)
    content = content_of(whole)
    content.remove(whole.config)
    parsed = oci_manifest.parse_manifest(whole.media_type, whole.data)
    oci_manifest.validate_manifest(parsed, content)
    assert oci_manifest.manifest_labels(parsed, content) == {"b": "own"}
    assert not oci_manifest.needs_empty_layer(parsed, content)
    assert oci_manifest.legacy_image_ids(parsed, content) == []
    assert oci_manifest.legacy_images(parsed, content, {}) == []
    assert [one.created_by for one in oci_manifest.manifest_layers(parsed, content)] == [""]


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"not JSON",
        b"[]",
        b'{"a": 1, "a": 2}',
        b'{"config": {"Labels": {"a": 1}}}',
        b'{"config": {"Labels": ["a"]}}',
        b'{"config": "x"}',
        b'{"config": {"Labels": {"a": "\\u0000"}}}',
        b'{"history": {}}',
        b'{"history": ["x"]}',
        b'{"history": [{"created": 1}]}',
        b'{"history": [{"empty_layer": "true"}]}',
        b'{"rootfs": []}',
        b'{"rootfs": {"diff_ids": [1]}}',
        b'{"architecture": 64}',
        to_json({"history": [{}] * (MAX_HISTORY + 1)}),
        b'{"pad": "' + b"x" * (4 << 20) + b'"}',
    ],
    ids=lambda config: config[:40].decode(),
)
def test_a_config_that_is_none_is_refused_by_name(config):
    parsed, content = with_config(config)
    with pytest.raises(ManifestInvalid) as refusal:
        oci_manifest.validate_manifest(parsed, content)
    assert refusal.value.detail["config"] == str(Digest.of(config))
    assert str(Digest.of(config)) in refusal.value.message


def test_configs_of_other_artifacts_are_their_own():
    helm = Blob(b"not JSON", "application/vnd.cncf.helm.config.v1+json")
    parsed = parse(simple_image("x"), config=helm.descriptor())
    content = DictContent({helm.digest: helm.data})
    oci_manifest.validate_manifest(parsed, content)
    assert oci_manifest.manifest_labels(parsed, content) == {}
    assert len(oci_manifest.manifest_layers(parsed, content)) == 2


def test_what_a_config_leaves_out_is_no_error():
    parsed, content = with_config(b'{"config": null, "history": null, "rootfs": null, "architecture": null}')
    oci_manifest.validate_manifest(parsed, content)
    assert oci_manifest.manifest_labels(parsed, content) == {}
