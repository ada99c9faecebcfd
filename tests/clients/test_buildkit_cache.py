"""BuildKit's registry cache: the bytes that its exporter sends, and the fetches that its importer makes.

BuildKit pushes every layer and the cache config as blobs, then one manifest. By default that is an index
whose entries are those blobs, with Docker's media types unless `oci-mediatypes=true`; with
`image-manifest=true` it is an image manifest whose config is the cache config.
"""

import http

import pytest

from registry.testing.images import CREATED, DOCKER, OCI, Blob, Manifest, digest_of, layer, to_json
from tests.support.images import CACHE_CONFIG_TYPE

pytestmark = pytest.mark.needs_tools


def cache_layers(flavour):
    built = [layer({f"cached-{number}": f"step {number}".encode()}, flavour) for number in range(3)]
    return [
        Blob(
            one.data,
            one.media_type,
            {"buildkit/createdat": CREATED, "containerd.io/uncompressed": one.diff_id},
        )
        for one in built
    ]


def cache_config(layers):
    chain = [
        {
            "blob": one.digest,
            "parent": number - 1,
            "annotations": {
                "mediaType": one.media_type,
                "diffID": one.annotations["containerd.io/uncompressed"],
                "size": len(one.data),
                "blob": one.digest,
                "createdAt": CREATED,
            },
        }
        for number, one in enumerate(layers)
    ]
    records = [
        {"digest": digest_of(f"vertex {number}".encode()), "layers": [{"layer": number, "createdAt": CREATED}]}
        for number in range(len(layers))
    ]
    return Blob(to_json({"layers": chain, "records": records}), CACHE_CONFIG_TYPE)


def index_form(flavour):
    layers = cache_layers(flavour)
    parts = (*layers, cache_config(layers))
    entries = [one.descriptor() for one in parts]
    body = {"schemaVersion": 2, "mediaType": flavour.index, "manifests": entries}
    return Manifest(to_json(body), flavour.index, blobs=parts)


def image_form():
    layers = cache_layers(OCI)
    config = cache_config(layers)
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config.descriptor(),
        "layers": [one.descriptor() for one in layers],
    }
    return Manifest(to_json(body), OCI.manifest, blobs=(config, *layers))


FORMS = {"oci-index": index_form(OCI), "docker-list": index_form(DOCKER), "image": image_form()}


@pytest.mark.parametrize("form", FORMS)
def test_a_cache_is_exported_and_imported(registry, repository, form):
    cache = FORMS[form]
    registry.push(repository, cache, "buildcache")

    served = registry.manifest(repository, "buildcache")
    assert (served.digest, served.media_type, served.payload) == (cache.digest, cache.media_type, cache.data)
    assert registry.manifest(repository, cache.digest).payload == cache.data
    for part in cache.blobs:
        assert registry.blob(repository, part.digest) == part.data


@pytest.mark.parametrize("form", FORMS)
def test_a_cache_is_replaced_by_that_of_the_next_build(registry, repository, form):
    registry.push(repository, FORMS[form], "buildcache")
    grown = layer({"cached-new": b"a step more"})
    parts = (*FORMS[form].blobs, Blob(grown.data, grown.media_type))
    body = {"schemaVersion": 2, "mediaType": OCI.index, "manifests": [one.descriptor() for one in parts]}
    following = Manifest(to_json(body), OCI.index, blobs=parts)
    registry.push(repository, following, "buildcache")

    assert registry.manifest(repository, "buildcache").payload == following.data
    assert registry.manifest(repository, FORMS[form].digest).payload == FORMS[form].data
    assert registry.tags(repository) == ["buildcache"]


def test_a_cached_layer_is_fetched_in_ranges(registry, repository):
    cache = registry.push(repository, FORMS["oci-index"], "buildcache")
    part = cache.blobs[0]
    path = f"/v2/{repository}/blobs/{part.digest}"
    tail = registry.http.get(path, headers={"Range": f"bytes={len(part.data) - 7}-"}, follow_redirects=True)
    assert tail.status_code == http.HTTPStatus.PARTIAL_CONTENT
    assert tail.content == part.data[-7:]


def test_a_cache_whose_layer_was_never_sent_is_refused_and_names_it(registry, repository):
    cache = FORMS["image"]
    for part in cache.blobs[:-1]:
        registry.push_blob(repository, part)
    answer = registry.http.put(
        f"/v2/{repository}/manifests/buildcache",
        content=cache.data,
        headers={"Content-Type": cache.media_type},
    )
    assert answer.status_code in {http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.NOT_FOUND}
    assert cache.blobs[-1].digest in answer.text
    assert registry.tags(repository) == []
