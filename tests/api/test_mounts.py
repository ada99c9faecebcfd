"""Blobs change repositories without being sent again, and a refusal tells nothing about its cause."""

import uuid

import pytest
from sqlalchemy import update

from registry.access.authorizer import Action, Decision
from registry.db.models import Blob, Repository
from registry.testing.images import digest_of
from tests.support.api import error_of

DATA = b"a layer"
DIGEST = digest_of(DATA)
TARGET = "/v2/target/app/blobs/uploads/"


def mount(client, **query):
    return client.post(TARGET, query_string={"mount": DIGEST, **query})


@pytest.mark.parametrize("query", [{"from": "source/app"}, {}, {"from": ""}], ids=["named", "anonymous", "empty"])
def test_a_blob_is_mounted(client, api, query):
    api.push_blob("source/app", DATA)
    answer = mount(client, **query)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v2/target/app/blobs/{DIGEST}"
    assert answer.headers["Docker-Content-Digest"] == DIGEST
    assert client.get(answer.headers["Location"]).data == DATA


def test_a_mount_outlives_its_source(client, api):
    api.push_blob("source/app", DATA)
    mount(client)
    assert client.delete(f"/v2/source/app/blobs/{DIGEST}").status_code == 202
    assert client.get(f"/v2/source/app/blobs/{DIGEST}").status_code == 404
    assert client.get(f"/v2/target/app/blobs/{DIGEST}").data == DATA


def test_a_mount_brings_back_what_was_deleted(client, api):
    api.push_blob("source/app", DATA)
    api.push_blob("target/app", DATA)
    assert client.delete(f"/v2/target/app/blobs/{DIGEST}").status_code == 202
    assert mount(client).status_code == 201
    assert client.get(f"/v2/target/app/blobs/{DIGEST}").data == DATA


def nowhere(api, app, monkeypatch):
    """Nobody ever pushed the blob."""


def no_such_source(api, app, monkeypatch):
    api.push_blob("elsewhere", DATA)


def not_in_the_source(api, app, monkeypatch):
    api.push_blob("elsewhere", DATA)
    api.push_blob("source/app", b"something else")


def deleted_from_the_source(api, app, monkeypatch):
    api.push_blob("source/app", DATA)
    assert api.client.delete(f"/v2/source/app/blobs/{DIGEST}").status_code == 202


def damaged(api, app, monkeypatch):
    api.push_blob("source/app", DATA)
    change(app, update(Blob).where(Blob.digest == DIGEST).values(state="DAMAGED"))


def source_deleted(api, app, monkeypatch):
    api.push_blob("source/app", DATA)
    change(app, update(Repository).where(Repository.name == "source/app").values(current=None, deleted_at=1))


def not_allowed(api, app, monkeypatch):
    api.push_blob("source/app", DATA)
    authorizer = app.extensions["moorage"].blobs._authorizer
    ask = authorizer.authorize

    def deny_pulls(requests):
        given = ask(requests)
        return [
            Decision(allowed=False)
            if (request.action, str(request.repository)) == (Action.PULL, "source/app")
            else decision
            for request, decision in zip(requests, given, strict=True)
        ]

    monkeypatch.setattr(authorizer, "authorize", deny_pulls)


def change(app, statement):
    def work(connection):
        assert connection.execute(statement).rowcount == 1

    app.extensions["moorage"].database.write(work)


CAUSES = [
    nowhere,
    no_such_source,
    not_in_the_source,
    deleted_from_the_source,
    damaged,
    source_deleted,
    not_allowed,
]


def without_uuid(answer):
    name = answer.headers["Docker-Upload-UUID"]
    assert str(uuid.UUID(name)) == name
    headers = {key: value.replace(name, "UUID") for key, value in answer.headers.items()}
    return answer.status_code, headers, answer.data


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
def test_every_refusal_is_the_same_open_upload(client, api, app, monkeypatch, cause):
    plain = client.post(TARGET)
    cause(api, app, monkeypatch)
    refused = mount(client, **{"from": "source/app"})
    assert refused.status_code == 202
    assert without_uuid(refused) == without_uuid(plain)
    assert client.head(f"/v2/target/app/blobs/{DIGEST}").status_code == 404
    done = client.put(refused.headers["Location"], query_string={"digest": DIGEST}, data=DATA)
    assert done.status_code == 201
    monkeypatch.undo()
    assert client.get(f"/v2/target/app/blobs/{DIGEST}").data == DATA


@pytest.mark.parametrize("cause", [nowhere, deleted_from_the_source, damaged, source_deleted, not_allowed])
def test_an_anonymous_mount_is_refused_alike(client, api, app, monkeypatch, cause):
    cause(api, app, monkeypatch)
    assert without_uuid(mount(client)) == without_uuid(client.post(TARGET))


@pytest.mark.parametrize(
    ("query", "code", "detail"),
    [
        ({"mount": "sha256:x"}, "DIGEST_INVALID", {"digest": "sha256:x"}),
        ({"mount": DIGEST, "from": "../source"}, "NAME_INVALID", {"name": "../source"}),
    ],
)
def test_a_malformed_mount_is_a_mistake(client, query, code, detail):
    assert error_of(client.post(TARGET, query_string=query), 400, code)["detail"] == detail
