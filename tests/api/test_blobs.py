"""Blobs go out, whole or in part, and can be deleted where nothing names them."""

import pytest

from registry.testing.images import OCI, digest_of, simple_image
from tests.support.api import error_of

DATA = bytes(range(256)) * 8
DIGEST = digest_of(DATA)
PATH = f"/v2/a/b/blobs/{DIGEST}"


@pytest.fixture(autouse=True)
def blob(api):
    api.push_blob("a/b", DATA)


def test_a_whole_blob(client):
    answer = client.get(PATH)
    assert (answer.status_code, answer.data) == (200, DATA)
    expected = {
        "Content-Type": "application/octet-stream",
        "Content-Length": "2048",
        "Docker-Content-Digest": DIGEST,
        "ETag": f'"{DIGEST}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    }
    assert dict(answer.headers) == expected


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=2000-5000", 2000, 2047),
        ("bytes=0-0", 0, 0),
        ("bytes=-5000", 0, 2047),
        ("bytes=2047-", 2047, 2047),
    ],
)
def test_a_range(client, wanted, first, last):
    answer = client.get(PATH, headers={"Range": wanted})
    assert (answer.status_code, answer.data) == (206, DATA[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/2048"
    assert answer.headers["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize(
    "wanted", ["bytes=5000-10000", "bytes=2048-", "bytes=500-0", "bytes=-0", "bytes=-", "bytes=x-"]
)
def test_a_range_that_cannot_be_served(client, wanted):
    answer = client.get(PATH, headers={"Range": wanted})
    assert error_of(answer, 416)["detail"] == {"range": wanted}
    assert answer.headers["Content-Range"] == "bytes */2048"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "0-1", "bytes 0-1"])
def test_other_ranges_are_ignored(client, wanted):
    answer = client.get(PATH, headers={"Range": wanted})
    assert (answer.status_code, answer.data) == (200, DATA)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize(
    ("condition", "status"),
    [(f'"{DIGEST}"', 206), ('"sha256:other"', 200), (f'W/"{DIGEST}"', 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)],
)
def test_if_range(client, condition, status):
    answer = client.get(PATH, headers={"Range": "bytes=0-9", "If-Range": condition})
    assert (answer.status_code, len(answer.data)) == (status, 10 if status == 206 else 2048)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (f'"{DIGEST}"', 304),
        (f'W/"{DIGEST}"', 304),
        (f'"x", "{DIGEST}"', 304),
        ("*", 304),
        ('"sha256:other"', 200),
        (DIGEST, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match(client, method, condition, status):
    answer = client.open(PATH, method=method, headers={"If-None-Match": condition})
    assert answer.status_code == status
    assert answer.headers["ETag"] == f'"{DIGEST}"'
    assert answer.data == (DATA if (method, status) == ("GET", 200) else b"")


def test_a_blob_of_sha512_keeps_its_name(client, api):
    digest = api.push_blob("a/b", DATA, "sha512")
    answer = client.get(f"/v2/a/b/blobs/{digest}")
    assert (answer.data, answer.headers["Docker-Content-Digest"]) == (DATA, digest)


def test_a_blob_is_read_only_where_it_was_pushed(client, api):
    api.push_blob("other", b"x")
    for method in ("GET", "HEAD", "DELETE"):
        answer = client.open(f"/v2/other/blobs/{DIGEST}", method=method)
        assert answer.status_code == 404
    assert error_of(client.get(f"/v2/other/blobs/{DIGEST}"), 404, "BLOB_UNKNOWN")["detail"] == {"digest": DIGEST}
    assert error_of(client.get(f"/v2/nobody/blobs/{DIGEST}"), 404, "NAME_UNKNOWN")["detail"]["name"] == "nobody"


def test_a_deleted_blob_is_gone_at_once_and_can_come_back(client, api):
    answer = client.delete(PATH)
    assert (answer.status_code, answer.data) == (202, b"")
    for again in (client.get(PATH), client.delete(PATH)):
        error_of(again, 404, "BLOB_UNKNOWN")
    assert client.head(PATH).status_code == 404
    api.push_blob("a/b", DATA)
    assert client.get(PATH).data == DATA


def test_a_blob_that_manifests_name_is_not_deleted(client, api):
    image = api.push("a/b", simple_image("one"), "one")
    for needed in image.blobs:
        path = f"/v2/a/b/blobs/{needed.digest}"
        error = error_of(client.delete(path), 405, "DENIED")
        assert error["detail"] == {"digest": needed.digest, "manifests": [image.digest]}
        assert client.get(path).data == needed.data
    assert client.delete(f"/v2/a/b/manifests/{image.digest}").status_code == 202
    assert {client.delete(f"/v2/a/b/blobs/{needed.digest}").status_code for needed in image.blobs} == {202}
    missing = error_of(api.put_manifest("a/b", "one", image), 404, "MANIFEST_BLOB_UNKNOWN")["detail"]
    assert [entry["digest"] for entry in missing] == [needed.digest for needed in image.blobs]
    assert image.media_type == OCI.manifest
