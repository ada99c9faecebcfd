"""Who refers to a manifest: all of them, those of one type, and page by page."""

from urllib.parse import quote

import pytest

from registry.testing.images import EMPTY_TYPE, OCI, artifact, digest_of, image, index, layer, simple_image
from tests.support.api import error_of, link_of

SUBJECT = simple_image("subject")
PATH = f"/v2/a/b/referrers/{SUBJECT.digest}"
SIGNATURE, SBOM = "application/vnd.example.signature", "application/vnd.example.sbom+json"
LAYER = layer({"a": b"a"})


def entries(client, path):
    """Follow the links and return the descriptors."""
    found = []
    while path is not None:
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == OCI.index
        body = answer.json
        assert (set(body), body["schemaVersion"]) == ({"schemaVersion", "mediaType", "manifests"}, 2)
        assert body["mediaType"] == OCI.index
        found += body["manifests"]
        path = link_of(answer)
    return found


@pytest.mark.parametrize(
    "path", [f"/v2/nobody/referrers/{digest_of(b'x')}", PATH, f"/v2/a/b/referrers/{digest_of(b'x', 'sha512')}"]
)
def test_of_anything_unknown_there_are_none(client, api, path):
    api.push("a/b", image(LAYER))
    assert entries(client, path) == []
    assert client.head(path).status_code == 200


def test_each_kind_of_referrer_is_described(client, api):
    referrers = {
        SIGNATURE: artifact(SIGNATURE, annotations={"a": "ü", "b": '"<'}, subject=SUBJECT),
        OCI.config: image(LAYER, subject=SUBJECT),
        "": index(subject=SUBJECT),
    }
    for referrer in referrers.values():
        api.push("a/b", referrer)
    api.push("a/b", artifact(SIGNATURE, subject=image(LAYER)))
    api.push("other", artifact(SIGNATURE, annotations={"from": "elsewhere"}, subject=SUBJECT))
    expected = {}
    for kind, referrer in referrers.items():
        expected[referrer.digest] = {
            "mediaType": referrer.media_type,
            "digest": referrer.digest,
            "size": len(referrer.data),
            **({"artifactType": kind} if kind else {}),
        }
    expected[referrers[SIGNATURE].digest]["annotations"] = {"a": "ü", "b": '"<'}
    assert {entry["digest"]: entry for entry in entries(client, PATH)} == expected


def test_referrers_may_come_before_their_subject_and_outlive_it(client, api):
    signature = api.push("a/b", artifact(SIGNATURE, subject=SUBJECT))
    assert [entry["digest"] for entry in entries(client, PATH)] == [signature.digest]
    api.push("a/b", SUBJECT, "v1")
    assert client.delete(f"/v2/a/b/manifests/{SUBJECT.digest}").status_code == 202
    assert [entry["digest"] for entry in entries(client, PATH)] == [signature.digest]
    assert client.delete(f"/v2/a/b/manifests/{signature.digest}").status_code == 202
    assert entries(client, PATH) == []


@pytest.fixture
def seven(api):
    """Push seven referrers of two types, turn by turn."""
    return [
        api.push("a/b", artifact((SIGNATURE, SBOM)[number % 2], annotations={"number": str(number)}, subject=SUBJECT))
        for number in range(7)
    ]


def test_a_filter_says_that_it_was_applied(client, seven):
    wanted = [manifest.digest for manifest in seven[1::2]]
    answer = client.get(PATH, query_string={"artifactType": SBOM})
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert [entry["digest"] for entry in answer.json["manifests"]] == wanted
    assert client.get(PATH, query_string={"artifactType": EMPTY_TYPE}).json["manifests"] == []
    assert "OCI-Filters-Applied" not in client.get(PATH).headers
    assert len(client.get(PATH, query_string={"artifactType": ""}).json["manifests"]) == 7


@pytest.mark.parametrize("kind", [None, SIGNATURE, SBOM])
def test_pages_hold_every_referrer_once(client, seven, kind):
    for size in (1, 2, 3, 6, 7, 2**31):
        check_pages(client, seven, kind, size)


def check_pages(client, seven, kind, size):
    query = f"?n={size}" + (f"&artifactType={quote(kind)}" if kind else "")
    wanted = [manifest.digest for manifest in seven if kind in (None, manifest.body["artifactType"])]
    first = client.get(PATH + query)
    assert len(first.json["manifests"]) == min(size, len(wanted))
    assert (link_of(first) is None) == (size >= len(wanted))
    found = [entry["digest"] for entry in entries(client, PATH + query)]
    assert sorted(found) == sorted(wanted)
    if link_of(first) and kind:
        assert client.get(link_of(first)).headers["OCI-Filters-Applied"] == "artifactType"


def test_a_listing_never_exceeds_the_cap(client, api, app):
    cap = app.extensions["moorage"].settings.page_size_max
    api.push_blob("a/b", b"{}")
    for number in range(cap + 1):
        signature = artifact(SIGNATURE, annotations={"number": str(number)}, subject=SUBJECT)
        assert api.put_manifest("a/b", signature.digest, signature).status_code == 201
    assert len(client.get(PATH).json["manifests"]) == cap
    assert len(entries(client, PATH)) == cap + 1


@pytest.mark.parametrize("last", ["x", "1", "-1:a", "1" * 19 + ":", ":", "1:" + "x" * 256])
def test_a_cursor_that_is_none(client, last):
    answer = client.get(PATH, query_string={"last": last})
    assert error_of(answer, 400, "PAGINATION_NUMBER_INVALID")["detail"] == {"last": last[:256]}


def test_a_digest_that_is_none(client):
    assert error_of(client.get("/v2/a/b/referrers/latest"), 400, "DIGEST_INVALID")["detail"] == {"digest": "latest"}
