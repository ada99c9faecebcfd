"""Whatever is sent, the answer is a refusal in the specification's form, and nothing is left behind."""

import io

import pytest

from tests.formats import corpus
from tests.support import attacks
from tests.support.api import error_of

ENCODINGS = list(attacks.encodings())
SEQUENCES = list(attacks.sequences())
BODIES = [*((name, "v1", media_type, payload) for name, media_type, payload in corpus.hostile()), *attacks.bodies()]


def tree(folder):
    """Return every file and folder with what tells that it was changed."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "moorage.db" not in path.name
    }


@pytest.fixture(autouse=True)
def nothing_left(folder, app):
    """Compare all files around and in the data before and after: what is refused leaves nothing."""
    yield
    after = tree(folder)
    outside = {path for path in after if path.split("/")[0] != "data"}
    assert (outside, after["canary"]) == ({"canary"}, b"not yours")
    inside = {path.split("/")[1] for path in after if path.startswith("data/")}
    assert inside <= {"storage"}
    for path, content in after.items():
        if content is not None and path.startswith("data/storage/blobs"):
            assert content in (attacks.DATA, b"{}"), path


def test_the_corpora_are_as_large_as_promised_and_hold_nothing_twice():
    assert len(BODIES) >= 200
    assert len(SEQUENCES) >= 150
    assert len(ENCODINGS) >= 300
    assert len({(method, target) for _, method, target in ENCODINGS}) == len(ENCODINGS)
    assert len({name for name, _ in SEQUENCES}) == len(SEQUENCES)


def test_encodings_of_names_digests_tags_and_uuids(client, api):
    api.push_blob("a/b", b"{}")
    for name, method, target in ENCODINGS:
        answer = client.open(target, method=method)
        assert error_of(answer)["detail"], name
    assert client.get("/v2/_catalog").json["repositories"] == []


def test_encodings_of_parameters_and_headers(client, api):
    api.push_blob("a/b", attacks.DATA)
    for bad in attacks.BAD_TAGS:
        answer = client.put(f"/v2/a/b/manifests/v1?tag={bad.replace('+', '%2B').replace('&', '%26')}", data=b"{}")
        error_of(answer, 400, "TAG_INVALID")
    for bad in attacks.BAD_DIGESTS:
        location = api.start("a/b")
        answer = client.put(f"{location}?digest={bad.replace('+', '%2B')}", data=attacks.DATA)
        error_of(answer, 400, "DIGEST_INVALID")
        assert client.get(location).status_code == 204


def send(client, step, upload):
    path = step.path.replace("{upload}", upload).replace("{other upload}", upload.replace("/a/b/", "/other/"))
    headers = dict(step.headers)
    length = headers.pop("Content-Length", None)
    named = {"environ_overrides": {"CONTENT_LENGTH": length}} if length is not None else {}
    if step.chunked:
        headers["Transfer-Encoding"] = "chunked"
    return client.open(path, method=step.method, headers=headers, input_stream=io.BytesIO(step.body), **named)


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_upload_and_header_sequences(client, api, kind):
    api.push_blob("other", b"{}")
    for name, steps in SEQUENCES[kind::4]:
        upload = api.start("a/b")
        *before, last = steps
        for step in before:
            answer = send(client, step, upload)
            assert answer.status_code < 300, (name, answer.data)
        answer = send(client, last, upload)
        assert error_of(answer)["message"], name
        client.delete(f"/v2/a/b/blobs/{attacks.DIGEST}")


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_manifests_and_json_bodies(client, api, kind):
    api.push_blob("a/b", attacks.DATA)
    for name, reference, media_type, payload in BODIES[kind::4]:
        answer = client.put(f"/v2/a/b/manifests/{reference}", data=payload, content_type=media_type)
        error = error_of(answer)
        assert error["code"] in {"MANIFEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "DIGEST_INVALID"}, name
        assert len(answer.data) < 4096, name
    assert client.get("/v2/a/b/tags/list").json["tags"] == []
    assert client.get("/v2/_catalog").json["repositories"] == []
