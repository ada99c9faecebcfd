"""Blobs come in: every way to push one, to look how far it is, and to give up."""

import re

import pytest

from registry.testing.apps import running_app
from registry.testing.images import digest_of
from tests.support.api import STREAM, error_of

DATA = b"0123456789" * 100
DIGEST = digest_of(DATA)
WRONG = digest_of(b"other bytes")
UPLOAD = re.compile(r"/v2/a/b/blobs/uploads/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def patch(client, location, data, content_range=None):
    headers = {} if content_range is None else {"Content-Range": content_range}
    return client.patch(location, data=data, headers=headers, content_type=STREAM)


def finish(client, location, digest=DIGEST, data=b"", **named):
    return client.put(location, query_string={"digest": digest}, data=data, content_type=STREAM, **named)


def status(client, location):
    answer = client.get(location)
    assert answer.status_code == 204
    assert answer.headers["Location"] == location
    return answer.headers["Range"]


def assert_stored(client, answer, data=DATA, digest=DIGEST):
    assert answer.status_code == 201, answer.data
    assert answer.headers["Location"] == f"/v2/a/b/blobs/{digest}"
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.data == b""
    stored = client.get(answer.headers["Location"])
    assert (stored.status_code, stored.data) == (200, data)


@pytest.mark.parametrize("data", [DATA, b"", b"{}"], ids=["bytes", "empty", "braces"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_in_one_post(client, data, algorithm):
    digest = digest_of(data, algorithm)
    answer = client.post("/v2/a/b/blobs/uploads/", query_string={"digest": digest}, data=data, content_type=STREAM)
    assert_stored(client, answer, data, digest)


@pytest.mark.parametrize("slash", ["/", ""])
def test_a_post_opens_a_session(client, slash):
    answer = client.post(f"/v2/a/b/blobs/uploads{slash}")
    assert answer.status_code == 202
    assert UPLOAD.fullmatch(answer.headers["Location"])
    assert answer.headers["Location"].endswith(answer.headers["Docker-Upload-UUID"])
    assert answer.headers["Range"] == "0-0"
    assert "OCI-Chunk-Min-Length" not in answer.headers


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("hint", [{}, {"digest-algorithm": "sha256"}, {"digest-algorithm": "sha512"}])
def test_a_session_is_closed_by_any_algorithm_whatever_the_hint(client, api, algorithm, hint):
    digest = digest_of(DATA, algorithm)
    location = api.start("a/b", **hint)
    assert patch(client, location, DATA).status_code == 202
    assert_stored(client, finish(client, location, digest), DATA, digest)


def test_an_unknown_algorithm_is_refused_at_the_start(client):
    answer = client.post("/v2/a/b/blobs/uploads/", query_string={"digest-algorithm": "md5"})
    assert error_of(answer, 400, "DIGEST_INVALID")["detail"] == {"algorithm": "md5"}


def test_post_and_put(client, api):
    location = api.start("a/b")
    assert_stored(client, finish(client, location, data=DATA))
    error_of(client.get(location), 404, "BLOB_UPLOAD_UNKNOWN")


def test_post_and_put_of_unannounced_length(client, api):
    location = api.start("a/b")
    answer = api.chunked("PUT", location, DATA, query_string={"digest": DIGEST})
    assert_stored(client, answer)


def test_chunks_and_an_empty_put(client, api):
    location = api.start("a/b")
    for start in range(0, 1000, 400):
        chunk = DATA[start : start + 400]
        answer = patch(client, location, chunk, f"{start}-{start + len(chunk) - 1}")
        assert answer.status_code == 202
        assert answer.headers["Location"] == location
        assert answer.headers["Range"] == f"0-{start + len(chunk) - 1}"
        assert status(client, location) == answer.headers["Range"]
    assert_stored(client, finish(client, location))


@pytest.mark.parametrize("content_range", ["400-999", "bytes 400-999", "bytes 400-999/1000", "bytes 400-999/*", None])
def test_the_last_chunk_rides_on_the_put(client, api, content_range):
    location = api.start("a/b")
    assert patch(client, location, DATA[:400], "0-399").status_code == 202
    headers = {} if content_range is None else {"Content-Range": content_range}
    assert_stored(client, finish(client, location, data=DATA[400:], headers=headers))


def test_a_stream(client, api):
    location = api.start("a/b")
    answer = api.chunked("PATCH", location, DATA)
    assert (answer.status_code, answer.headers["Range"]) == (202, "0-999")
    assert_stored(client, finish(client, location))


def test_streams_one_after_the_other(client, api):
    location = api.start("a/b")
    for start in range(0, 1000, 250):
        assert api.chunked("PATCH", location, DATA[start : start + 250]).status_code == 202
    assert_stored(client, finish(client, location))


@pytest.mark.parametrize("content_range", ["0-599", "399-999", "401-1000"])
def test_a_chunk_out_of_order_is_refused_and_the_upload_goes_on(client, api, content_range):
    location = api.start("a/b")
    assert patch(client, location, DATA[:400], "0-399").status_code == 202
    first, last = map(int, content_range.split("-"))
    refused = patch(client, location, b"x" * (last - first + 1), content_range)
    error = error_of(refused, 416, "BLOB_UPLOAD_INVALID")
    assert (error["detail"]["start"], error["detail"]["expected"]) == (first, 400)
    assert refused.headers["Range"] == "0-399"
    assert status(client, location) == "0-399"
    put = finish(client, location, data=b"x" * (last - first + 1), headers={"Content-Range": content_range})
    error_of(put, 416, "BLOB_UPLOAD_INVALID")
    assert patch(client, location, DATA[400:], "400-999").status_code == 202
    assert_stored(client, finish(client, location))


@pytest.mark.parametrize(
    ("content_range", "code"),
    [
        ("0-98", "SIZE_INVALID"),
        ("0-100", "SIZE_INVALID"),
        ("99-0", "BLOB_UPLOAD_INVALID"),
        ("x", "BLOB_UPLOAD_INVALID"),
    ],
)
def test_a_chunk_that_contradicts_its_length_is_refused(client, api, content_range, code):
    location = api.start("a/b")
    refused = patch(client, location, b"x" * 100, content_range)
    assert error_of(refused, 400, code)["detail"]["contentRange"] == content_range
    assert status(client, location) == "0-0"


def test_a_body_cut_short_is_none(client, api):
    location = api.start("a/b")
    assert patch(client, location, DATA[:400]).status_code == 202
    cut = client.patch(location, data=DATA[400:600], environ_overrides={"CONTENT_LENGTH": "600"})
    assert error_of(cut, 400, "BLOB_UPLOAD_INVALID")["detail"] == {"announced": 600, "received": 200}
    assert status(client, location) == "0-399"
    assert patch(client, location, DATA[400:]).status_code == 202
    assert_stored(client, finish(client, location))


def test_an_upload_goes_on_in_a_new_process(client, api, app):
    location = api.start("a/b")
    assert patch(client, location, DATA[:400]).status_code == 202
    with running_app(app.extensions["moorage"].settings.data) as other:
        second = other.test_client()
        assert status(second, location) == "0-399"
        assert patch(second, location, DATA[400:]).status_code == 202
    assert_stored(client, finish(client, location))


def test_a_cancelled_upload_is_gone_with_its_bytes(client, api, app):
    location = api.start("a/b")
    assert patch(client, location, DATA).status_code == 202
    data = app.extensions["moorage"].settings.data
    assert DATA in [path.read_bytes() for path in data.rglob("*") if path.is_file()]
    answer = client.delete(location)
    assert (answer.status_code, answer.data) == (204, b"")
    assert DATA not in [path.read_bytes() for path in data.rglob("*") if path.is_file()]
    for again in (
        client.get(location),
        patch(client, location, b"x"),
        finish(client, location),
        client.delete(location),
    ):
        detail = error_of(again, 404, "BLOB_UPLOAD_UNKNOWN")["detail"]
        assert detail == {"uuid": location.rpartition("/")[2]}


def test_a_put_needs_a_digest(client, api):
    location = api.start("a/b")
    refused = client.put(location, data=DATA)
    assert error_of(refused, 400, "DIGEST_INVALID")["detail"] == {"parameter": "digest"}
    assert_stored(client, finish(client, location, data=DATA))


def by_post(client, api, digest):
    del api
    return client.post("/v2/a/b/blobs/uploads/", query_string={"digest": digest}, data=DATA)


def by_put(client, api, digest):
    return finish(client, api.start("a/b"), digest, DATA)


def by_stream(client, api, digest):
    location = api.start("a/b")
    api.chunked("PATCH", location, DATA)
    return finish(client, location, digest)


def by_chunks(client, api, digest):
    location = api.start("a/b")
    patch(client, location, DATA[:400], "0-399")
    patch(client, location, DATA[400:], "400-999")
    return finish(client, location, digest)


def by_last_chunk(client, api, digest):
    location = api.start("a/b")
    patch(client, location, DATA[:400], "0-399")
    return finish(client, location, digest, DATA[400:], headers={"Content-Range": "400-999"})


def by_other_algorithm(client, api, digest):
    location = api.start("a/b", **{"digest-algorithm": "sha512"})
    patch(client, location, DATA)
    return finish(client, location, digest)


WAYS = [by_post, by_put, by_stream, by_chunks, by_last_chunk, by_other_algorithm]


@pytest.mark.parametrize("push", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_no_way_accepts_bytes_of_another_digest(client, api, push, algorithm):
    wrong = digest_of(b"other bytes", algorithm)
    detail = error_of(push(client, api, wrong), 400, "DIGEST_INVALID")["detail"]
    assert detail == {"digest": wrong, "received": digest_of(DATA, algorithm)}
    assert client.head(f"/v2/a/b/blobs/{wrong}").status_code == 404
    assert client.head(f"/v2/a/b/blobs/{digest_of(DATA, algorithm)}").status_code == 404
    # The same way with the right digest shows that nothing else was the reason.
    assert_stored(client, push(client, api, digest_of(DATA, algorithm)), DATA, digest_of(DATA, algorithm))


def test_the_same_blob_twice_is_one(client, api, app):
    for _ in range(3):
        assert_stored(client, by_post(client, api, DIGEST))
    data = app.extensions["moorage"].settings.data
    assert [path.read_bytes() for path in (data / "storage").rglob("*") if path.is_file()].count(DATA) == 1
