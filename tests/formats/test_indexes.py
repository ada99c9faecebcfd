"""Manifest lists and OCI indexes."""

import pytest

from registry.errors import ManifestInvalid
from registry.formats import manifest_list, oci_index
from registry.hooks.types import ConversionRequest, Platform
from registry.testing.content import content_of
from registry.testing.images import DOCKER, OCI, Blob, index, simple_image, simple_index, to_json
from tests.support.images import CACHE_CONFIG_TYPE

FORMATS = [pytest.param(manifest_list, DOCKER, id="docker"), pytest.param(oci_index, OCI, id="oci")]
UNKNOWN = {"os": "unknown", "architecture": "unknown"}
both = pytest.mark.parametrize(("format_", "flavour"), FORMATS)


def unsigned(_payload):
    raise AssertionError("nothing is signed here")


def converted(format_, whole, wanted):
    parsed = format_.parse_manifest(whole.media_type, whole.data)
    return format_.convert_manifest(parsed, content_of(whole), ConversionRequest(wanted, "a/b", "t", unsigned))


def entry(manifest, **more):
    return manifest.descriptor(**more)


def linux(architecture, **more):
    return {"os": "linux", "architecture": architecture, **more}


def parse(entries, **more):
    return oci_index.parse_manifest(OCI.index, to_json({"schemaVersion": 2, "manifests": entries, **more}))


@both
def test_an_index_is_read_in_full(format_, flavour):
    whole = simple_index("x", flavour)
    parsed = format_.parse_manifest(whole.media_type, whole.data)
    assert [str(child.digest) for child in parsed.children] == [child.digest for child in whole.children]
    assert [child.platform for child in parsed.children] == [Platform("linux", "amd64"), Platform("linux", "arm64")]
    assert (parsed.is_image, parsed.config, parsed.blobs, parsed.artifact_type) == (False, None, (), "")
    assert (parsed.payload, parsed.digest_bytes) == (whole.data, whole.data)


def test_an_index_may_leave_its_type_out_and_a_list_not():
    assert parse([]).children == ()
    with pytest.raises(ManifestInvalid, match="mediaType is required"):
        manifest_list.parse_manifest(DOCKER.index, to_json({"schemaVersion": 2, "manifests": []}))


def test_only_its_own_field_is_the_artifact_type_and_annotations_are_the_labels():
    parsed = parse([], artifactType="application/vnd.example", annotations={"a": "b", "": "c"})
    assert parsed.artifact_type == "application/vnd.example"
    assert oci_index.manifest_labels(parsed) == {"a": "b"}


def test_attestations_are_marked():
    image, attestation = simple_image("x"), simple_image("attestation")
    annotations = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.digest}
    parsed = parse([entry(image), entry(attestation, platform=UNKNOWN, annotations=annotations)])
    assert [child.auxiliary for child in parsed.children] == [False, True]
    assert parsed.children[1].annotations == annotations


@pytest.mark.parametrize(
    ("kind", "platform"),
    [
        ("attestation-manifest", {"os": "linux", "architecture": "amd64"}),
        ("attestation-manifest", {"os": "linux", "architecture": "unknown"}),
        ("attestation-manifest", {"os": "unknown", "architecture": "amd64"}),
        ("attestation-manifest", None),
        ("other", {"os": "unknown", "architecture": "unknown"}),
    ],
)
def test_what_a_client_may_run_is_no_attestation(kind, platform):
    extra = {"platform": platform} if platform else {}
    parsed = parse([entry(simple_image("x"), annotations={"vnd.docker.reference.type": kind}, **extra)])
    assert not parsed.children[0].auxiliary


@both
def test_a_build_cache_in_index_form_is_taken(format_, flavour):
    entries = [Blob(b"l", flavour.gzip_layer).descriptor(), Blob(b"{}", CACHE_CONFIG_TYPE).descriptor()]
    body = {"schemaVersion": 2, "mediaType": flavour.index, "manifests": entries}
    parsed = format_.parse_manifest(flavour.index, to_json(body))
    assert [child.media_type for child in parsed.children] == [flavour.gzip_layer, CACHE_CONFIG_TYPE]


@both
@pytest.mark.parametrize("wanted", [DOCKER.manifest, OCI.manifest, "application/vnd.example"])
def test_a_list_hands_out_its_linux_amd64_child(format_, flavour, wanted):
    children = [simple_image(name, flavour, name) for name in ("arm64", "amd64")]
    child = converted(format_, index(*children, flavour=flavour), wanted)
    assert child.payload == children[1].data
    assert child.media_type == flavour.manifest


@both
@pytest.mark.parametrize("wanted", [DOCKER.index, OCI.index])
def test_a_list_never_becomes_another_list(format_, flavour, wanted):
    assert converted(format_, simple_index("x", flavour), wanted) is None


def test_without_such_a_child_there_is_none():
    assert converted(oci_index, index(simple_image("x", OCI, "arm64")), DOCKER.manifest) is None
    assert converted(oci_index, index(), DOCKER.manifest) is None


def test_a_missing_child_is_passed_over():
    first, second = simple_image("first"), simple_image("second")
    whole = index(first, second)
    content = content_of(whole)
    del content.media_types[first.digest]
    parsed = oci_index.parse_manifest(whole.media_type, whole.data)
    request = ConversionRequest(DOCKER.manifest, "a/b", "t", unsigned)
    assert oci_index.convert_manifest(parsed, content, request).payload == second.data


def test_the_plainest_processor_is_preferred_and_attestations_never_are():
    names = ("attestation", "v3", "plain", "windows")
    images = {name: simple_image(name) for name in names}
    note = {"vnd.docker.reference.type": "attestation-manifest"}
    parsed = parse(
        [
            entry(images["attestation"], platform=UNKNOWN, annotations=note),
            entry(images["windows"], platform={"os": "windows", "architecture": "amd64"}),
            entry(images["v3"], platform=linux("amd64", variant="v3")),
            entry(images["plain"], platform=linux("amd64")),
        ]
    )
    request = ConversionRequest(DOCKER.manifest, "a/b", "t", unsigned)
    assert oci_index.convert_manifest(parsed, content_of(*images.values()), request).payload == images["plain"].data


def test_an_image_without_a_platform_is_not_guessed_at():
    image = simple_image("x")
    request = ConversionRequest(DOCKER.manifest, "a/b", "t", unsigned)
    assert oci_index.convert_manifest(parse([entry(image)]), content_of(image), request) is None


def test_a_nested_index_leads_on():
    inner = simple_index("x")
    outer = index(simple_image("x", OCI, "arm64"), inner)
    step = converted(oci_index, outer, DOCKER.manifest)
    assert step.payload == inner.data
    request = ConversionRequest(DOCKER.manifest, "a/b", "t", unsigned)
    assert oci_index.convert_manifest(step, content_of(outer), request).payload == inner.children[0].data
