"""What happened to other registries, tried here. Each test names what it would have been."""

import json
import re
import socket
import time

import pytest
from sqlalchemy import text, update

from registry.access.actors import Actor
from registry.db.models import Upload
from registry.digest import Digest
from registry.names import RepositoryName
from registry.testing.images import Blob, artifact, digest_of, image, index, layer, simple_image, to_json
from tests.support import attacks
from tests.support.api import error_of

LAYER = layer({"a": b"a"})
EVIL = "evil.example"


def test_an_upload_of_another_repository_is_out_of_reach(client, api):
    data, digest = attacks.DATA, attacks.DIGEST
    api.push_blob("theirs/b", b"x")
    location = api.start("mine/a")
    assert client.patch(location, data=data[:50]).status_code == 202
    other = location.replace("/mine/a/", "/theirs/b/")
    nobody = location.replace("/mine/a/", "/nobody/")
    refused = 0
    for path in (other, nobody):
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            query = {"digest": digest} if method == "PUT" else None
            answer = client.open(
                path, method=method, data=data[50:] if method in {"PUT", "PATCH"} else None, query_string=query
            )
            error_of(answer, 404, "BLOB_UPLOAD_UNKNOWN")
            refused += 1
    assert refused == 8
    assert client.get(location).headers["Range"] == "0-49"
    assert client.put(location, query_string={"digest": digest}, data=data[50:]).status_code == 201
    assert client.get(f"/v2/mine/a/blobs/{digest}").data == data


def test_a_deleted_blob_is_not_read_through_any_cache(client, api):
    gone = 0
    for number in range(100):
        data = b"blob %d" % number
        digest = api.push_blob("a", data)
        api.push_blob("b", data)
        assert client.get(f"/v2/a/blobs/{digest}").data == data
        assert client.delete(f"/v2/a/blobs/{digest}").status_code == 202
        assert client.get(f"/v2/b/blobs/{digest}").data == data
        gone += client.get(f"/v2/a/blobs/{digest}").status_code == 404
        gone += client.head(f"/v2/a/blobs/{digest}").status_code == 404
    assert gone == 200


@pytest.mark.parametrize("size", [-1, 2**31, "x"])
def test_the_catalog_is_capped_or_refused(client, api, app, size):
    thing = api.push("r00000", artifact("application/vnd.example.thing"))
    app.extensions["moorage"].database.write(lambda connection: multiply(connection, 3000))
    assert client.get("/v2/r03000/tags/list").status_code == 200
    answer = client.get(f"/v2/_catalog?n={size}")
    if size == 2**31:
        assert len(answer.json["repositories"]) == app.extensions["moorage"].settings.page_size_max == 1000
        assert "last=r00999" in answer.headers["Link"]
    else:
        error_of(answer, 400, "PAGINATION_NUMBER_INVALID")
    assert client.get(f"/v2/r00000/manifests/{thing.digest}").data == thing.data


def multiply(connection, count):
    """Copy the one repository, and its manifest, under many names."""
    numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
    for table, changes, source in (
        ("repository", {"name": "printf('r%05d', n)"}, "repository o, numbers"),
        ("manifest", {"repository_id": "r.id"}, "manifest o, repository r WHERE r.name > 'r00000'"),
    ):
        columns = [row[1] for row in connection.execute(text(f"PRAGMA table_info({table})")) if row[1] != "id"]
        values = ", ".join(changes.get(name, f"o.{name}") for name in columns)
        names = ", ".join(columns)
        connection.execute(text(f"INSERT INTO {table} ({names}) {numbers} SELECT {values} FROM {source}"))


def test_urls_in_descriptors_are_never_fetched(client, api):
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.setblocking(False)
        urls = [f"http://127.0.0.1:{canary.getsockname()[1]}/layer"]
        api.push_blob("a", LAYER.data)
        base = image(LAYER)
        config = api.push_blob("a", base.config.data)
        remote = {
            "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "digest": digest_of(b"elsewhere"),
            "size": 9,
            "urls": urls,
        }
        near = {**LAYER.descriptor(), "urls": urls}
        for layers, status in (
            ([remote, near], 201),
            ([near, remote], 201),
            ([{**near, "digest": digest_of(b"?")}], 404),
        ):
            body = {**base.body, "config": {**base.body["config"], "urls": urls}, "layers": layers}
            answer = client.put("/v2/a/manifests/v1", data=to_json(body), content_type=base.media_type)
            assert answer.status_code == status, answer.data
        for accept in ("*/*", "application/vnd.docker.distribution.manifest.v1+prettyjws"):
            assert client.get("/v2/a/manifests/v1", headers={"Accept": accept}).status_code == 200
        for digest in (config, remote["digest"], LAYER.digest):
            client.get(f"/v2/a/blobs/{digest}")
        client.post(f"/v2/b/blobs/uploads/?mount={remote['digest']}&from=a")
        with pytest.raises(BlockingIOError):
            canary.accept()


def test_no_answer_of_all_is_a_page_and_none_repeats_the_host(client, api):
    script = b"<html><script>alert(1)</script></html>"
    digest = api.push_blob("a/b", script)
    api.push("a/b", artifact("text/html", Blob(script, "text/html"), annotations={"a": "<script>"}), "v1")
    hostile = {
        "Host": EVIL,
        "X-Forwarded-Host": EVIL,
        "X-Forwarded-Proto": "gopher",
        "Forwarded": f"host={EVIL}",
        "X-Original-Host": EVIL,
    }
    targets = [(method, target) for _, method, target in attacks.encodings()]
    targets += [
        ("GET", path)
        for path in (
            "/",
            "/v2/",
            "/v2/_catalog?n=1",
            "/v2/a/b/tags/list",
            "/v2/a/b/manifests/v1",
            f"/v2/a/b/blobs/{digest}",
        )
    ]
    targets += [
        ("POST", "/v2/a/b/blobs/uploads/"),
        ("POST", f"/v2/a/b/blobs/uploads/?mount={digest}&from=a/b"),
        ("OPTIONS", "/v2/"),
    ]
    targets += [("GET", f"/v2/a/b/referrers/{digest}"), ("GET", "/<script>"), ("GET", "/v2/%3Cscript%3E/x")]
    for method, target in targets:
        answer = client.open(target, method=method, headers={**hostile, "Accept": "text/html"})
        told = f"{method} {target}: {answer.headers}"
        assert "html" not in answer.headers.get("Content-Type", ""), told
        assert EVIL not in str(answer.headers), told
        assert EVIL.encode() not in answer.data, told
    stored = client.get(f"/v2/a/b/blobs/{digest}", headers={"Accept": "text/html"})
    assert (stored.headers["Content-Type"], stored.headers["X-Content-Type-Options"]) == (
        "application/octet-stream",
        "nosniff",
    )
    assert re.match("sandbox;", stored.headers["Content-Security-Policy"])


def test_a_diamond_of_thirty_levels_is_walked_once(client, api, app):
    """Naively there are 2^30 ways from the top to the image."""
    level = [api.push("a", simple_image(str(number))) for number in range(2)]
    bottom = level[0]
    for depth in range(30):
        level = [index(*level, annotations={"level": f"{depth} {number}"}) for number in range(2)]
        for manifest in level:
            assert api.put_manifest("a", manifest.digest, manifest).status_code == 201
    top = level[0]
    assert api.put_manifest("a", "top", top).status_code == 201
    reader, repository = app.extensions["moorage"].reader, RepositoryName("a")
    started = time.process_time()
    assert reader.lookup(Actor(), repository, Digest.parse(bottom.digest)) is not None
    assert client.get("/v2/a/manifests/top", headers={"Accept": bottom.media_type}).status_code == 200
    assert client.get(f"/v2/a/manifests/{bottom.digest}").data == bottom.data
    assert time.process_time() - started < 10  # a walk of every way takes hours


def test_a_chain_deeper_than_thirty_two_levels_is_refused(api):
    manifest = api.push("a", simple_image("x"))
    statuses = []
    for depth in range(40):
        manifest = index(manifest, annotations={"level": str(depth)})
        answer = api.put_manifest("a", manifest.digest, manifest)
        statuses.append(answer.status_code)
        if answer.status_code != 201:
            assert error_of(answer, 400, "MANIFEST_INVALID")["detail"] == {"depth": 33}
            break
    assert statuses == [201] * 31 + [400]


CORRUPTIONS = {
    "algorithm": ["md5", "", "os.system", "../x", "sha512"],
    "prefix_digest": ["x", "sha256:x", "sha512:" + "0" * 128, "cos\nsystem\n(S'touch pwned'\ntR.", "", None],
    "state": ["X", "", "WRITING"],
    "offset": [-1, 10**15],
    "handle": ["x", "../../x", "cos\nsystem\n(S'touch pwned'\ntR."],
    "storage_key": ["../../pwned", "/etc/passwd", "", "x\0y", "0" * 32],
    "tail_size": [-1, 10**15],
    "tail_etag": ["x", "../../x"],
    "token": [-1, 2**62],
    "deadline_ms": [0, -1, 2**62],
}


@pytest.mark.parametrize(
    ("column", "value"), [(column, value) for column in CORRUPTIONS for value in CORRUPTIONS[column]]
)
@pytest.mark.parametrize("last", [b"", attacks.DATA[50:]], ids=["empty", "chunk"])
def test_a_corrupted_upload_row_is_refused_or_harmless(client, api, app, folder, column, value, last):
    """Others kept a pickled hash there, which ran what it held."""
    location = api.start("a")
    first = attacks.DATA if not last else attacks.DATA[:50]
    assert client.patch(location, data=first).status_code == 202
    app.extensions["moorage"].database.write(
        lambda connection: connection.execute(update(Upload).values({column: value}))
    )
    answer = client.put(location, query_string={"digest": attacks.DIGEST}, data=last)
    if answer.status_code != 201:
        error_of(answer)
    stored = client.get(f"/v2/a/blobs/{attacks.DIGEST}")
    assert (
        (stored.status_code, stored.data) == (200, attacks.DATA)
        if answer.status_code == 201
        else stored.status_code == 404
    )
    wrong = client.put(location, query_string={"digest": digest_of(b"wrong")}, data=last)
    error_of(wrong)
    assert {path.name for path in folder.iterdir()} == {"canary", "data"}
    assert not list(folder.rglob("*pwned*"))


def test_a_refusal_is_json_that_cannot_be_a_script(client):
    answer = client.get("/v2/a/manifests/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.data)["errors"]
