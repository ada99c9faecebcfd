"""What all endpoints share: names of any shape, HEAD beside GET, the form of errors, and relative locations."""

from dataclasses import replace

import pytest

from registry.settings import Settings
from registry.testing.apps import running_app
from registry.testing.images import artifact, digest_of, simple_image
from tests.support.api import Api, error_of
from tests.support.certificates import make_pair

ARTIFACT = artifact("application/vnd.example.thing")
DIGEST = digest_of(b"x")
NAMES = [
    "a",
    "blobs",
    "manifests",
    "tags",
    "uploads",
    "referrers",
    "v2",
    "a/blobs",
    "a/blobs/uploads",
    "blobs/uploads/b",
    "a/manifests/b",
    "manifests/latest",
    "a/tags/list",
    "tags/list/manifests",
    "a/referrers/b",
    "library/a__b/c-d/e.f",
    "/".join(["a"] * 128),
    "a" * 255,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_repository_may_be_called_like_a_part_of_the_api(client, api, name):
    manifest = api.push(name, ARTIFACT, "list", "latest", "uploads")
    signature = api.push(name, artifact("application/vnd.example.signature", subject=ARTIFACT))
    assert client.get(f"/v2/{name}/tags/list").json == {"name": name, "tags": ["latest", "list", "uploads"]}
    assert client.get(f"/v2/{name}/manifests/list").data == manifest.data
    assert client.get(f"/v2/{name}/manifests/{manifest.digest}").data == manifest.data
    assert client.get(f"/v2/{name}/blobs/{ARTIFACT.config.digest}").data == ARTIFACT.config.data
    (entry,) = client.get(f"/v2/{name}/referrers/{manifest.digest}").json["manifests"]
    assert entry["digest"] == signature.digest
    location = api.start(name)
    assert client.get(location).status_code == 204
    assert client.patch(location, data=b"x").status_code == 202
    assert client.put(location, query_string={"digest": DIGEST}).status_code == 201
    assert client.delete(api.start(name)).status_code == 204
    assert client.delete(f"/v2/{name}/blobs/{DIGEST}").status_code == 202
    assert client.delete(f"/v2/{name}/manifests/list").status_code == 202
    assert client.get("/v2/_catalog").json["repositories"] == [name]


def test_head_answers_as_get_without_the_body(client, api):
    api.push("a/b", simple_image("x"), "v1")
    api.push("a/b", artifact("application/vnd.example.signature", subject=simple_image("x")))
    manifest, location = simple_image("x"), api.start("a/b")
    client.patch(location, data=b"some")
    resources = [
        "/v2/",
        "/v2",
        "/v2/_catalog",
        "/v2/_catalog?n=1",
        "/v2/a/b/tags/list",
        "/v2/a/b/manifests/v1",
        f"/v2/a/b/manifests/{manifest.digest}",
        f"/v2/a/b/blobs/{manifest.config.digest}",
        f"/v2/a/b/referrers/{manifest.digest}",
        f"/v2/nobody/referrers/{manifest.digest}",
        location,
        "/health/live",
        "/health/ready",
    ]
    missing = [
        "/v2/nobody/tags/list",
        "/v2/a/b/manifests/v2",
        f"/v2/a/b/manifests/{DIGEST}",
        f"/v2/a/b/blobs/{DIGEST}",
        "/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000",
        "/nothing",
    ]
    for path in resources + missing:
        got, told = client.get(path), client.head(path)
        assert got.status_code == (404 if path in missing else 204 if path == location else 200), path
        assert (told.status_code, dict(told.headers), told.data) == (got.status_code, dict(got.headers), b""), path
        if got.status_code != 204:
            assert got.headers["Content-Length"] == str(len(got.data)), path


def test_the_version_check(client):
    answer = client.get("/v2/")
    assert (answer.status_code, answer.json) == (200, {})
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
    assert answer.headers["Content-Type"] == "application/json"


def test_health(client):
    assert client.get("/health/live").json == {"status": "alive"}
    ready = client.get("/health/ready").json
    assert ready["status"] == "ready"
    assert {check["name"] for check in ready["checks"]} == {"database", "storage", "writes", "plugins"}


def test_health_tells_of_a_certificate_that_ends(app, client, tmp_path, monkeypatch):
    services = app.extensions["moorage"]
    cert, key = make_pair(tmp_path, age=60, days=2, now_ms=services.database.clock_ms())
    monkeypatch.setitem(app.extensions, "moorage", replace(services, settings=Settings(tls_cert=cert, tls_key=key)))
    ready = client.get("/health/ready").json
    assert ready["status"] == "ready"
    assert "should have been renewed" in ready["checks"][-1]["detail"]


OPEN = "/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000"
ERRORS = [
    ("GET", "/v2/A/tags/list", 400, "NAME_INVALID", {"name": "A"}),
    ("GET", f"/v2/{'a' * 256}/tags/list", 400, "NAME_INVALID", {"name": "a" * 256}),
    ("GET", "/v2/nobody/tags/list", 404, "NAME_UNKNOWN", {"name": "nobody"}),
    ("DELETE", f"/v2/nobody/manifests/{DIGEST}", 404, "NAME_UNKNOWN", {"name": "nobody"}),
    ("GET", "/v2/a/b/manifests/-x", 400, "TAG_INVALID", {"tag": "-x"}),
    ("GET", "/v2/a/b/manifests/v1", 404, "MANIFEST_UNKNOWN", {"tag": "v1"}),
    ("GET", f"/v2/a/b/manifests/{DIGEST}", 404, "MANIFEST_UNKNOWN", {"digest": DIGEST}),
    ("DELETE", f"/v2/a/b/manifests/{DIGEST}", 404, "MANIFEST_UNKNOWN", {"digest": DIGEST}),
    ("GET", "/v2/a/b/manifests/sha256:x", 400, "DIGEST_INVALID", {"reference": "sha256:x"}),
    ("GET", "/v2/a/b/blobs/md5:" + "0" * 32, 400, "DIGEST_INVALID", {"digest": "md5:" + "0" * 32}),
    ("GET", f"/v2/a/b/blobs/{DIGEST}", 404, "BLOB_UNKNOWN", {"digest": DIGEST}),
    ("DELETE", f"/v2/a/b/blobs/{DIGEST}", 404, "BLOB_UNKNOWN", {"digest": DIGEST}),
    ("GET", OPEN, 404, "BLOB_UPLOAD_UNKNOWN", {"uuid": OPEN.rpartition("/")[2]}),
    ("GET", "/v2/a/b/blobs/uploads/x", 404, "BLOB_UPLOAD_UNKNOWN", {"uuid": "x"}),
    (
        "POST",
        f"/v2/a/b/blobs/uploads/?digest={DIGEST}",
        400,
        "DIGEST_INVALID",
        {"digest": DIGEST, "received": digest_of(b"")},
    ),
    ("GET", "/v2/_catalog?n=x", 400, "PAGINATION_NUMBER_INVALID", {"n": "x"}),
    ("POST", "/v2/", 405, "UNSUPPORTED", {"method": "POST", "path": "/v2/"}),
    ("PUT", "/v2/a/b/tags/list", 405, "UNSUPPORTED", {"method": "PUT", "path": "/v2/a/b/tags/list"}),
    ("GET", "/v2/a/b/blobs/uploads/", 405, "UNSUPPORTED", {"method": "GET", "path": "/v2/a/b/blobs/uploads/"}),
    ("GET", "/v2/a/b/c", 404, "NAME_UNKNOWN", {"path": "/v2/a/b/c"}),
    ("GET", "/favicon.ico", 404, "NAME_UNKNOWN", {"path": "/favicon.ico"}),
]


@pytest.mark.parametrize(("method", "path", "status", "code", "detail"), ERRORS)
def test_each_refusal_names_what_was_wrong(client, api, method, path, status, code, detail):
    api.push_blob("a/b", b"{}")
    answer = client.open(path, method=method)
    assert error_of(answer, status, code)["detail"] == detail
    if status == 405:
        assert "GET" in answer.headers["Allow"] or "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("length", ["abc", "-1", "+5", "1_0", "²", " 5", "0x5", "9" * 30, "5,5"])
def test_a_length_that_is_none(client, api, length):
    location = api.start("a/b")
    answer = client.patch(location, data=b"hello", environ_overrides={"CONTENT_LENGTH": length})
    assert error_of(answer, 400)["detail"] == {"contentLength": length}
    assert client.get(location).headers["Range"] == "0-0"


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "identity", "chunked, chunked", "xchunked"])
def test_a_transfer_coding_that_is_not_understood_is_no_empty_body(client, api, coding):
    location = api.start("a/b")
    answer = client.patch(location, data=b"hello", headers={"Transfer-Encoding": coding})
    assert error_of(answer, 400)["detail"] == {"transferEncoding": coding}
    answer = client.put(location, query_string={"digest": digest_of(b"")}, headers={"Transfer-Encoding": coding})
    assert error_of(answer, 400)["detail"] == {"transferEncoding": coding}
    assert client.patch(location, data=b"hello", headers={"Transfer-Encoding": "Chunked"}).status_code == 202


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/v2/_catalog", "last"),
        ("/v2/a/b/tags/list", "last"),
        (f"/v2/a/b/referrers/{DIGEST}", "last"),
        (f"/v2/a/b/referrers/{DIGEST}", "artifactType"),
    ],
)
def test_a_parameter_with_a_nul_never_reaches_the_database(client, api, path, parameter):
    api.push("a/b", ARTIFACT)
    answer = client.get(path, query_string={parameter: "1:a\0b"})
    assert error_of(answer, 400)["detail"] == {"parameter": parameter}


def test_an_unexpected_failure_is_told_without_its_cause(client, app, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("the cause: a secret path")

    monkeypatch.setattr(type(app.extensions["moorage"].tags), "list", fail)
    answer = client.get("/v2/a/b/tags/list")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/json")
    assert [error["code"] for error in answer.json["errors"]] == ["UNKNOWN"]
    assert b"secret" not in answer.data
    assert "a secret path" in caplog.text


def test_locations_start_with_the_configured_address_and_nothing_else(blank, folder):
    with running_app(folder / "public", blank=blank, external_url="https://registry.example") as app:
        client = app.test_client()
        api = Api(client)
        hostile = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        location = client.post("/v2/a/b/blobs/uploads/", headers=hostile).headers["Location"]
        assert location.startswith("https://registry.example/v2/a/b/blobs/uploads/")
        for name in ("a", "b"):
            api.push(name, ARTIFACT, "v1")
        link = client.get("/v2/_catalog?n=1", headers=hostile).headers["Link"]
        assert link == '<https://registry.example/v2/_catalog?n=1&last=a>; rel="next"'


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "POST"])
def test_no_answer_is_a_page(client, method):
    for path in ("/v2/", "/v2/a/b/tags/list", "/v2/a/b/manifests/v1", "/nothing", "/health/live"):
        answer = client.open(path, method=method)
        assert answer.headers.get("Content-Type") in (None, "application/json")
        assert b"<" not in answer.data


@pytest.mark.parametrize("path", ["/v2/a/b/nothing/x", "/v2/A/tags/list", "/v2/a/b/tags/list"])
def test_an_error_is_told_also_where_the_body_makes_no_sense(client, path):
    expected = client.get(path).json
    assert client.get(path, headers={"Transfer-Encoding": "gzip"}).json == expected
    assert client.get(path, environ_overrides={"CONTENT_LENGTH": "-1"}).json == expected
