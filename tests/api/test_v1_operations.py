"""Every operation of /api/v1, found in its OpenAPI document: it answers as it says, and odd input is refused."""

import json

import pytest
from flask import Flask
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from registry.app import API
from registry.blueprints.api._openapi import document
from registry.blueprints.api._operations import install, operations_of
from registry.testing.images import artifact, index, simple_image
from tests.support.hostile_api import Hostile

PROBLEM = "application/problem+json"
IMAGE = simple_image("x")


def described():
    app = Flask("described")
    install(app, API)
    return document(operations_of(app))


DOCUMENT = described()
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
# What stands in a path; a parameter that is not named here is tried as an id that exists nowhere.
PLACES = {"name": "a/b", "digest": IMAGE.digest, "tag": "v1", "reference": "v1", "plan": "1"}


@pytest.fixture
def filled(api):
    api.push("a/b", index(IMAGE), "v1")
    api.push("a/b", artifact("application/vnd.example.signature", subject=IMAGE))
    api.client.post("/api/v1/repositories/a/b/-/retention", json={})


def hostile(path, method):
    parameters = DOCUMENT["paths"][path][method]["parameters"]
    places = {one["name"]: PLACES.get(one["name"], "7") for one in parameters if one["in"] == "path"}
    return Hostile(DOCUMENT, path, method, places)


def send(client, method, request):
    headers = dict(request.headers)
    return client.open(
        request.path,
        method=method.upper(),
        query_string=request.query,
        data=request.data,
        content_type=request.content_type,
        headers=headers,
    )


def assert_problem(answer, told):
    assert 400 <= answer.status_code < 500, (told, answer.status, answer.data[:300])
    assert answer.headers["Content-Type"] == PROBLEM, told
    problem = json.loads(answer.data)
    assert set(problem) == {"type", "title", "status", "detail", "code", "context"}, told
    assert problem["status"] == answer.status_code, told
    assert problem["type"].startswith("urn:moorage:problem:"), told
    assert problem["detail"], told


def test_the_document_is_openapi_3_1(client):
    served = client.get("/api/v1/openapi.json").json
    validate(served)
    assert served == json.loads(json.dumps(DOCUMENT))
    names = [DOCUMENT["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_an_operation_answers_as_it_says(client, filled, path, method):
    one = hostile(path, method)
    answer = client.open(one.url(), method=method.upper(), json=one.good_body())
    responses = one.operation["responses"]
    assert str(answer.status_code) in responses, answer.data
    content = responses[str(answer.status_code)].get("content", {})
    assert list(content)[:1] == ([answer.headers["Content-Type"]] if answer.data else [])
    for described_as in list(content.values())[:1]:  # further ones are for who asks for them
        schema = {**described_as["schema"], "components": DOCUMENT["components"]}
        assert [error.message for error in OAS31Validator(schema).iter_errors(answer.json)] == []
    if method == "get" and answer.status_code == 200:
        again = client.get(one.url(), headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_odd_input_is_refused_in_the_problem_form(client, filled, path, method):
    for request in hostile(path, method).requests():
        answer = send(client, method, request)
        told = f"{method} {path}: {request.why}: {answer.status} {answer.data[:200]!r}"
        if request.refused or answer.status_code >= 400:
            assert_problem(answer, told)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1", 404, "ENDPOINT_UNKNOWN"),
        ("GET", "/api/v1/nothing", 404, "ENDPOINT_UNKNOWN"),
        ("GET", "/api/v1/repositories/a/-/nothing", 404, "ENDPOINT_UNKNOWN"),
        ("GET", "/api/v1/repositories/a/-/-/usage", 404, "ENDPOINT_UNKNOWN"),
        ("PUT", "/api/v1/repositories", 405, "UNSUPPORTED"),
        ("GET", "/api/v1/repositories/A", 400, "NAME_INVALID"),
        ("GET", "/api/v1/repositories/nobody", 404, "NAME_UNKNOWN"),
        ("GET", "/api/v1/repositories/%00", 400, "NAME_INVALID"),
    ],
)
def test_what_is_not_there_is_a_problem(client, method, path, status, code):
    answer = client.open(path, method=method)
    assert_problem(answer, path)
    assert (answer.status_code, answer.json["code"] if answer.is_json else json.loads(answer.data)["code"]) == (
        status,
        code,
    )
    if status == 405:
        assert "GET" in answer.headers["Allow"]


def test_a_defect_is_a_problem_too(client, app, monkeypatch, caplog):
    monkeypatch.setattr("registry.repositories.listing.RepositoryListing.list", lambda *_: 1 / 0)
    answer = client.get("/api/v1/repositories")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, PROBLEM)
    assert "ZeroDivisionError" in caplog.text
    assert b"Zero" not in answer.data


def test_other_paths_keep_the_specifications_form(client):
    assert list(client.get("/v2/nobody/tags/list").json) == ["errors"]
    assert list(client.get("/api/v2").json) == ["errors"]


@pytest.mark.parametrize(
    "name", ["a", "a/b", "repositories", "a/usage", "usage/-a".replace("-", "x-"), "/".join("a" * 100)]
)
def test_a_name_ends_where_a_lone_dash_stands(client, api, name):
    api.push(name, IMAGE, "v1")
    assert client.get(f"/api/v1/repositories/{name}").json["name"] == name
    assert client.get(f"/api/v1/repositories/{name}/-/usage").json["tags"] == 1
    assert client.get(f"/api/v1/repositories/{name.replace('/', '%2F')}/-/usage").json["tags"] == 1


def test_a_body_is_bounded(client):
    answer = client.post(
        "/api/v1/repositories", data=b'{"name": "a"}' + b" " * (1 << 20), content_type="application/json"
    )
    assert_problem(answer, "a large body")
    assert answer.status_code == 413


# Pages


def pages(client, path, **query):
    cursor = None
    while True:
        answer = client.get(path, query_string={**query, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.data
        yield answer.json["items"]
        cursor = answer.json["next"]
        if cursor is None:
            return


def test_pages_hold_each_item_once(client, api):
    names = sorted(f"n/{number}" for number in range(7))
    for name in reversed(names):
        client.post("/api/v1/repositories", json={"name": name})
    for size in (1, 2, 6, 7, 8, 2**40):
        found = list(pages(client, "/api/v1/repositories", limit=size))
        assert [item["name"] for page in found for item in page] == names
        assert all(len(page) == size for page in found[:-1])


def test_a_page_is_capped_by_the_setting(client, app):
    cap = app.extensions["moorage"].settings.page_size_max
    for number in range(cap + 1):
        client.post("/api/v1/repositories", json={"name": f"r{number:03}"})
    assert [len(page) for page in pages(client, "/api/v1/repositories")] == [cap, 1]
    assert [len(page) for page in pages(client, "/api/v1/repositories", limit=cap + 1)] == [cap, 1]


def test_a_cursor_of_another_list_or_of_nobody_is_refused(client, api, filled):
    (first, *_) = [client.get("/api/v1/repositories/a/b/-/manifests?limit=1").json["next"]]
    assert first
    from base64 import urlsafe_b64encode

    def made(*parts):
        return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")

    endpoint = "api_repositories.list_repositories"
    other = "api_manifests.list_manifest_referrers"
    tampered = [
        first,
        made(other, "a", 1),
        "x",
        "",
        "!",
        made(),
        made(endpoint),
        made(endpoint, "a"),
        made(endpoint, 1, "a"),
    ]
    tampered += [
        made(endpoint, "a\0", 1),
        made(endpoint, "a", 2**63),
        made(endpoint, "a", True),
        made(endpoint, "a", 1, 1),
    ]
    tampered += [made(endpoint, "a", None), made(endpoint, "a", 1.5), made([endpoint], "a", 1), "é", "A" * 5000]
    for cursor in tampered:
        answer = client.get("/api/v1/repositories", query_string={"cursor": cursor})
        assert_problem(answer, cursor)
    assert client.get("/api/v1/repositories", query_string={"cursor": made(endpoint, "a", 1)}).status_code == 200


# Revisions


def test_a_change_is_made_only_under_the_revision_that_was_seen(client):
    created = client.post("/api/v1/repositories", json={"name": "a/b"})
    seen = created.headers["ETag"]
    assert client.get("/api/v1/repositories/a/b").headers["ETag"] == seen

    def change(text, match):
        return client.patch("/api/v1/repositories/a/b", json={"description": text}, headers={"If-Match": match})

    first = change("one", seen)
    assert (first.status_code, first.headers["ETag"] != seen) == (200, True)
    refused = change("two", seen)
    assert_problem(refused, "If-Match")
    assert (refused.status_code, json.loads(refused.data)["context"]) == (412, {"etag": first.headers["ETag"]})
    assert client.get("/api/v1/repositories/a/b").json["description"] == "one"
    assert change("two", f'"other", {first.headers["ETag"]}').status_code == 200
    assert change("three", "*").status_code == 200
    assert client.delete("/api/v1/repositories/a/b", headers={"If-Match": seen}).status_code == 412
    assert client.delete("/api/v1/repositories/a/b", headers={"If-Match": "*"}).status_code == 200


def test_no_form_of_another_site_changes_anything(client, api, filled):
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", None):
        answer = client.post("/api/v1/repositories/a/b/-/rename", data=b'{"name": "c"}', content_type=kind)
        assert answer.status_code == 415
    assert client.delete("/api/v1/repositories/a/b").status_code == 200
    assert client.post("/api/v1/repositories/a/b/-/undelete").status_code == 415
    assert client.get("/api/v1/repositories/a/b").status_code == 404
