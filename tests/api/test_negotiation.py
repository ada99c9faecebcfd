"""What a client gets that does not know the stored format: by tag a conversion, by digest never."""

import json

import pytest

from registry.testing.client import schema1_payload
from registry.testing.images import DOCKER, OCI, SIGNED_SCHEMA1, artifact, digest_of, index, simple_image, simple_index
from tests.support.api import error_of

UNSIGNED = "application/vnd.docker.distribution.manifest.v1+json"

AS_IT_IS = [
    (),
    ("",),
    ("*/*",),
    ("application/*",),
    (DOCKER.index,),
    (f"text/html, {DOCKER.index};q=0.1",),
    (DOCKER.manifest, "*/*;q=0.1"),
    (DOCKER.index.upper(),),
    ("text/html",),
    ("application/vnd.nobody",),
    ("garbage",),
    (f"{DOCKER.manifest};q=0",),
]


def pull(client, reference, *accept):
    answer = client.get(f"/v2/a/b/manifests/{reference}", headers=[("Accept", one) for one in accept])
    assert answer.status_code == 200, answer.data
    return answer


def assert_stored(answer, manifest):
    assert (answer.data, answer.headers["Content-Type"]) == (manifest.data, manifest.media_type)
    assert answer.headers["Docker-Content-Digest"] == manifest.digest


def test_a_list_is_served_as_it_is_where_it_is_taken_or_nothing_fits(client, api):
    listing = api.push("a/b", simple_index("x", DOCKER), "v1")
    for accept in AS_IT_IS:
        assert_stored(pull(client, "v1", *accept), listing)


def test_a_client_of_images_gets_the_child_for_linux_amd64(client, api):
    listing = api.push("a/b", simple_index("x", DOCKER), "v1")
    amd64, _ = listing.children
    assert_stored(pull(client, "v1", DOCKER.manifest), amd64)
    assert_stored(pull(client, "v1", f"{SIGNED_SCHEMA1};q=0.1, {DOCKER.manifest}"), amd64)


def test_nested_indexes_lead_to_an_image(client, api):
    inner = simple_index("x")
    api.push("a/b", index(inner), "v1")
    assert_stored(pull(client, "v1", OCI.manifest), inner.children[0])


@pytest.mark.parametrize(("stored", "wanted"), [(OCI, DOCKER), (DOCKER, OCI)], ids=["to docker", "to oci"])
def test_an_image_is_written_in_the_other_family(client, api, stored, wanted):
    manifest = api.push("a/b", simple_image("x", stored), "v1")
    answer = pull(client, "v1", wanted.manifest)
    assert answer.headers["Content-Type"] == answer.json["mediaType"] == wanted.manifest
    assert answer.headers["Docker-Content-Digest"] == digest_of(answer.data)
    assert answer.headers["ETag"] == f'"{digest_of(answer.data)}"'
    assert answer.json["config"]["mediaType"] == wanted.config
    assert [one["digest"] for one in answer.json["layers"]] == [one.digest for one in manifest.layers]


@pytest.mark.parametrize("build", [simple_image, simple_index], ids=["image", "index"])
@pytest.mark.parametrize("flavour", [OCI, DOCKER], ids=["oci", "docker"])
def test_schema_1_is_signed_and_only_for_those_who_ask(client, api, build, flavour):
    manifest = api.push("a/b", build("x", flavour), "v1")
    assert_stored(pull(client, "v1"), manifest)
    answer = pull(client, "v1", SIGNED_SCHEMA1)
    assert answer.headers["Content-Type"] == SIGNED_SCHEMA1
    assert answer.headers["Docker-Content-Digest"] == digest_of(schema1_payload(answer.data))
    body = json.loads(answer.data)
    assert (body["schemaVersion"], body["name"], body["tag"]) == (1, "a/b", "v1")
    assert body["signatures"]
    for entry in body["fsLayers"]:
        assert client.head(f"/v2/a/b/blobs/{entry['blobSum']}").status_code == 200
    assert len(body["fsLayers"]) == len(body["history"]) == 3
    unsigned = json.loads(pull(client, "v1", UNSIGNED).data)
    assert unsigned == {key: value for key, value in body.items() if key != "signatures"}


@pytest.mark.parametrize("accept", [DOCKER.manifest, SIGNED_SCHEMA1, "text/html", OCI.index])
def test_a_pull_by_digest_never_converts(client, api, accept):
    listing = api.push("a/b", simple_index("x"), "v1")
    for manifest in (listing, *listing.children):
        assert_stored(pull(client, manifest.digest, accept), manifest)


def test_what_cannot_be_converted_is_served_as_it_is(client, api):
    thing = api.push("a/b", artifact("application/vnd.example.thing"), "v1")
    for accept in (DOCKER.manifest, SIGNED_SCHEMA1):
        assert_stored(pull(client, "v1", accept), thing)


def test_head_tells_what_get_would_convert_to(client, api):
    api.push("a/b", simple_index("x", DOCKER), "v1")
    for accept in (DOCKER.index, DOCKER.manifest, OCI.manifest):
        got = pull(client, "v1", accept)
        told = client.head("/v2/a/b/manifests/v1", headers={"Accept": accept})
        assert (told.status_code, dict(told.headers), told.data) == (200, dict(got.headers), b"")


def test_the_etag_of_a_conversion_is_its_own(client, api):
    listing = api.push("a/b", simple_index("x", DOCKER), "v1")
    headers = {"Accept": DOCKER.manifest, "If-None-Match": f'"{listing.digest}"'}
    assert client.get("/v2/a/b/manifests/v1", headers=headers).status_code == 200
    headers["If-None-Match"] = f'"{listing.children[0].digest}"'
    assert client.get("/v2/a/b/manifests/v1", headers=headers).status_code == 304


def test_a_conversion_cannot_be_pushed_as_what_it_is_not(client, api):
    manifest = api.push("a/b", simple_image("x", DOCKER), "v1")
    refused = client.put("/v2/a/b/manifests/v2", data=manifest.data, content_type=OCI.manifest)
    assert error_of(refused, 400, "MANIFEST_INVALID")["detail"]["field"] == "mediaType"
