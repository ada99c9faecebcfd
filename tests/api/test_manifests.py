"""Manifests: pushed by tag and digest, pulled as stored, deleted, and ended by their labels."""

from datetime import UTC, datetime

import pytest

from registry.manifests.creator import EMPTY_LAYER_DIGEST
from registry.testing.apps import running_app
from registry.testing.images import (
    DOCKER,
    OCI,
    Blob,
    Manifest,
    artifact,
    digest_of,
    image,
    index,
    layer,
    simple_image,
    simple_index,
    to_json,
)
from tests.support.api import Api, error_of

ARTIFACT = artifact("application/vnd.example.thing", Blob(b"thing"))
BUILDS = {
    "oci": simple_image("oci"),
    "docker": simple_image("docker", DOCKER),
    "index": simple_index("index"),
    "list": simple_index("list", DOCKER),
    "nested": index(simple_index("nested"), annotations={"org.example": "nested"}),
    "artifact": ARTIFACT,
    "empty index": index(),
    "no layers": image(),
}
LAYER = layer({"a": b"a"})


@pytest.mark.parametrize("manifest", BUILDS.values(), ids=BUILDS)
def test_what_is_pushed_by_tag_is_pulled_by_tag_and_digest(client, api, manifest):
    api.push("a/b", manifest)
    answer = api.put_manifest("a/b", "v1", manifest)
    assert (answer.status_code, answer.data) == (201, b"")
    assert answer.headers["Location"] == f"/v2/a/b/manifests/{manifest.digest}"
    assert answer.headers["Docker-Content-Digest"] == manifest.digest
    for reference in ("v1", manifest.digest):
        pulled = client.get(f"/v2/a/b/manifests/{reference}")
        assert (pulled.status_code, pulled.data) == (200, manifest.data)
        assert pulled.headers["Content-Type"] == manifest.media_type
        assert pulled.headers["Content-Length"] == str(len(manifest.data))
        assert pulled.headers["Docker-Content-Digest"] == manifest.digest
        assert pulled.headers["ETag"] == f'"{manifest.digest}"'
        assert pulled.headers["Vary"] == "Accept"
        assert pulled.headers["X-Content-Type-Options"] == "nosniff"


def test_a_push_of_unannounced_length(client, api):
    manifest = BUILDS["artifact"]
    api.push("a/b", manifest)
    answer = api.chunked(
        "PUT", "/v2/a/b/manifests/v1", manifest.data, content_type=f"{manifest.media_type}; charset=utf-8"
    )
    assert answer.status_code == 201
    assert client.get("/v2/a/b/manifests/v1").data == manifest.data


def test_the_same_bytes_by_sha512_keep_that_name(client, api):
    manifest = api.push("a/b", BUILDS["oci"], "short")
    long = digest_of(manifest.data, "sha512")
    answer = api.put_manifest("a/b", long, manifest, tags=["long", "also"])
    assert answer.status_code == 201
    assert answer.headers.getlist("OCI-Tag") == ["long", "also"]
    told = {
        tag: client.head(f"/v2/a/b/manifests/{tag}").headers["Docker-Content-Digest"]
        for tag in ("short", "long", "also", long)
    }
    assert told == {"short": manifest.digest, "long": long, "also": long, long: long}
    assert client.get("/v2/a/b/manifests/long").data == manifest.data


def test_tags_of_the_query_are_set_beside_the_path(client, api):
    manifest = api.push("a/b", ARTIFACT)
    answer = api.put_manifest("a/b", "v1", manifest, tags=["v1.0", "v1.0.0"])
    assert answer.headers.getlist("OCI-Tag") == ["v1.0", "v1.0.0"]
    assert client.get("/v2/a/b/tags/list").json["tags"] == ["v1", "v1.0", "v1.0.0"]


def test_one_bad_tag_of_the_query_sets_none(client, api):
    manifest = api.push("a/b", ARTIFACT)
    refused = api.put_manifest("a/b", "v1", manifest, tags=["good", "-bad"])
    assert error_of(refused, 400, "TAG_INVALID")["detail"] == {"tag": "-bad"}
    assert client.get("/v2/a/b/tags/list").json["tags"] == []


def test_a_tag_moves_and_the_old_manifest_stays_by_digest(client, api):
    first, second = api.push("a/b", simple_image("1"), "latest"), api.push("a/b", simple_image("2"), "latest")
    assert client.get("/v2/a/b/manifests/latest").data == second.data
    assert client.get(f"/v2/a/b/manifests/{first.digest}").data == first.data


def test_if_none_match(client, api):
    manifest = api.push("a/b", ARTIFACT, "v1")
    for reference in ("v1", manifest.digest):
        same = client.get(f"/v2/a/b/manifests/{reference}", headers={"If-None-Match": f'"{manifest.digest}"'})
        assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", f'"{manifest.digest}"')
        other = client.get(f"/v2/a/b/manifests/{reference}", headers={"If-None-Match": '"sha256:other"'})
        assert (other.status_code, other.data) == (200, manifest.data)


def test_deleting_a_tag_leaves_its_manifest_and_siblings(client, api):
    manifest = api.push("a/b", ARTIFACT, "one", "two")
    answer = client.delete("/v2/a/b/manifests/one")
    assert (answer.status_code, answer.data) == (202, b"")
    for again in (client.get("/v2/a/b/manifests/one"), client.delete("/v2/a/b/manifests/one")):
        assert error_of(again, 404, "MANIFEST_UNKNOWN")["detail"]["tag"] == "one"
    assert client.get("/v2/a/b/tags/list").json["tags"] == ["two"]
    assert client.get("/v2/a/b/manifests/two").data == manifest.data
    assert client.get(f"/v2/a/b/manifests/{manifest.digest}").data == manifest.data


def test_deleting_a_manifest_ends_all_its_tags(client, api):
    manifest, other = api.push("a/b", ARTIFACT, "one", "two"), api.push("a/b", simple_image("other"), "three")
    path = f"/v2/a/b/manifests/{manifest.digest}"
    assert client.delete(path).status_code == 202
    assert error_of(client.delete(path), 404, "MANIFEST_UNKNOWN")["detail"] == {"digest": manifest.digest}
    for reference in ("one", "two", manifest.digest):
        error_of(client.get(f"/v2/a/b/manifests/{reference}"), 404, "MANIFEST_UNKNOWN")
    assert client.get("/v2/a/b/tags/list").json["tags"] == ["three"]
    assert client.get("/v2/a/b/manifests/three").data == other.data
    assert api.put_manifest("a/b", "one", manifest).status_code == 201
    assert client.get("/v2/a/b/tags/list").json["tags"] == ["one", "three"]
    assert client.get(path).data == manifest.data


def test_all_that_is_missing_is_named_at_once(client, api):
    manifest = simple_image("missing")
    api.push_blob("a/b", manifest.config.data)
    refused = api.put_manifest("a/b", "v1", manifest)
    detail = error_of(refused, 404, "MANIFEST_BLOB_UNKNOWN")["detail"]
    assert detail == [{"digest": blob.digest} for blob in manifest.layers]
    listing = simple_index("missing")
    detail = error_of(api.put_manifest("a/b", "v1", listing), 404, "MANIFEST_BLOB_UNKNOWN")["detail"]
    assert detail == [{"digest": child.digest} for child in listing.children]


def test_content_of_another_repository_is_missing_here(client, api):
    manifest = api.push("theirs", simple_image("theirs"), "v1")
    detail = error_of(api.put_manifest("mine", "v1", manifest), 404, "MANIFEST_BLOB_UNKNOWN")["detail"]
    assert {entry["digest"] for entry in detail} == {blob.digest for blob in manifest.blobs}
    assert client.get("/v2/mine/manifests/v1").status_code == 404


def test_a_manifest_under_the_wrong_digest_is_refused(client, api):
    manifest = api.push("a/b", ARTIFACT, "v1")
    for algorithm in ("sha256", "sha512"):
        wrong = digest_of(b"wrong", algorithm)
        detail = error_of(api.put_manifest("a/b", wrong, manifest), 400, "DIGEST_INVALID")["detail"]
        assert detail == {"digest": wrong, "received": digest_of(manifest.data, algorithm)}
        assert client.head(f"/v2/a/b/manifests/{wrong}").status_code == 404


def padded(length):
    """Return a manifest of exactly so many bytes."""
    bare = artifact("application/vnd.example.big", annotations={"pad": "x"})
    manifest = artifact("application/vnd.example.big", annotations={"pad": "x" * (length - len(bare.data) + 1)})
    assert len(manifest.data) == length
    return manifest


@pytest.mark.parametrize("chunked", [False, True])
def test_four_mebibytes_are_taken_and_one_byte_more_is_not(client, api, chunked):
    limit = 4 * 1024 * 1024
    api.push_blob("a/b", b"{}")

    def put(manifest):
        if chunked:
            return api.chunked("PUT", "/v2/a/b/manifests/big", manifest.data, content_type=manifest.media_type)
        return api.put_manifest("a/b", "big", manifest)

    assert error_of(put(padded(limit + 1)), 413, "MANIFEST_INVALID")["detail"] == {"limit": limit}
    assert client.get("/v2/a/b/manifests/big").status_code == 404
    manifest = padded(limit)
    assert put(manifest).status_code == 201
    assert client.get("/v2/a/b/manifests/big").data == manifest.data


@pytest.mark.parametrize(
    "media_type", ["", "application/json", "text/html", "application/vnd.oci.image.manifest.v2+json", "a/b/c", "\xe9"]
)
def test_an_unknown_media_type_is_told_the_accepted_ones(client, api, media_type):
    manifest = api.push("a/b", ARTIFACT)
    refused = client.put("/v2/a/b/manifests/v1", data=manifest.data, content_type=media_type)
    error = error_of(refused, 415, "MANIFEST_INVALID")
    assert OCI.manifest in str(error["detail"])
    assert DOCKER.index in str(error["detail"])


def test_the_empty_layer_is_made_once_and_can_be_pulled(client, api):
    api.push("a/b", image(LAYER, empty_steps=2), "v1")
    assert client.get(f"/v2/a/b/blobs/{EMPTY_LAYER_DIGEST}").status_code == 200
    api.push("c", image(LAYER), "v1")
    assert client.get(f"/v2/c/blobs/{EMPTY_LAYER_DIGEST}").status_code == 404


def test_a_subject_is_confirmed(client, api):
    signature = artifact("application/vnd.example.signature", subject=ARTIFACT)
    api.push_blob("a/b", b"{}")
    answer = api.put_manifest("a/b", signature.digest, signature)
    assert (answer.status_code, answer.headers["OCI-Subject"]) == (201, ARTIFACT.digest)
    assert "OCI-Subject" not in api.put_manifest("a/b", "none", api.push("a/b", ARTIFACT)).headers


def test_a_tag_ends_when_its_label_says_so(client, api, clock):
    manifest = image(LAYER, labels={"quay.expires-after": "2h"})
    api.push("a/b", manifest, "nightly")
    api.push("a/b", image(LAYER), "kept")
    end = datetime.fromtimestamp(clock() / 1000 + 7200, UTC).isoformat(timespec="milliseconds")
    clock.advance(7199.999)
    assert client.get("/v2/a/b/manifests/nightly").data == manifest.data
    assert client.get("/v2/a/b/tags/list").json["tags"] == ["kept", "nightly"]
    clock.advance(0.001)
    error = error_of(client.get("/v2/a/b/manifests/nightly"), 404, "MANIFEST_UNKNOWN")
    assert error["detail"] == {"tag": "nightly", "ended": end, "reason": "expired"}
    assert end in error["message"]
    assert error_of(client.delete("/v2/a/b/manifests/nightly"), 404, "MANIFEST_UNKNOWN")["detail"]["ended"] == end
    assert client.get("/v2/a/b/tags/list").json["tags"] == ["kept"]
    assert client.get(f"/v2/a/b/manifests/{manifest.digest}").data == manifest.data


def test_pushing_the_same_image_again_lengthens_its_life(client, api, clock):
    manifest = image(LAYER, labels={"org.moorage.expires-after": "1d"})
    api.push("a/b", manifest, "nightly")
    clock.advance(80_000)
    assert api.put_manifest("a/b", "nightly", manifest).status_code == 201
    clock.advance(80_000)
    assert client.head("/v2/a/b/manifests/nightly").status_code == 200
    clock.advance(6_400)
    assert client.head("/v2/a/b/manifests/nightly").status_code == 404


def test_a_body_of_another_type_than_it_says_is_refused(client, api):
    api.push("a/b", ARTIFACT)
    listing = Manifest(to_json({"schemaVersion": 2, "mediaType": OCI.index, "manifests": []}), OCI.manifest)
    error_of(api.put_manifest("a/b", "v1", listing), 400, "MANIFEST_INVALID")
    both = {**ARTIFACT.body, "manifests": []}
    error_of(api.put_manifest("a/b", "v1", Manifest(to_json(both), OCI.manifest)), 400, "MANIFEST_INVALID")


def test_sparse_manifests_where_they_are_allowed(blank, folder):
    with running_app(folder / "sparse", blank=blank, allow_sparse=True) as app:
        api = Api(app.test_client())
        for manifest in (simple_image("sparse"), simple_index("sparse")):
            assert api.put_manifest("a/b", "v1", manifest).status_code == 201
            assert api.client.get("/v2/a/b/manifests/v1").data == manifest.data
