"""Pulling what was: any client, by a time in the repository's name."""

from datetime import UTC, datetime

import pytest

from registry.testing.images import image, layer, simple_index
from tests.support.api import error_of

OLD, NEW = image(layer({"f": b"old"})), image(layer({"f": b"new"}))


@pytest.fixture
def then(api, clock):
    """Push one image, and another over it an hour later; give the time between."""
    api.push("team/app", OLD, "v1", "gone")
    stamp = datetime.fromtimestamp(clock() / 1000 + 60, UTC).strftime("%Y%m%dt%H%M%Sz")
    clock.advance(3600)
    api.push("team/app", NEW, "v1", "fresh")
    api.client.delete("/v2/team/app/manifests/gone")
    clock.advance(3600)
    return f"/v2/as-of.{stamp}/team/app"


def test_a_tag_is_what_it_was(client, then):
    answer = client.get(f"{then}/manifests/v1")
    assert answer.data == OLD.data
    assert answer.headers["Docker-Content-Digest"] == OLD.digest
    assert client.head(f"{then}/manifests/v1").headers["Docker-Content-Digest"] == OLD.digest
    day, _, time = then.removeprefix("/v2/as-of.").partition("/")[0].rstrip("z").partition("t")
    dashed = f"{day[:4]}-{day[4:6]}-{day[6:]}t{time[:2]}-{time[2:4]}-{time[4:]}z"
    assert client.get(f"/v2/as-of.{dashed}/team/app/manifests/v1").data == OLD.data
    assert client.get("/v2/team/app/manifests/v1").data == NEW.data


def test_the_whole_image_can_be_pulled(client, then):
    assert client.get(f"{then}/manifests/{OLD.digest}").data == OLD.data
    for blob in OLD.blobs:
        assert client.get(f"{then}/blobs/{blob.digest}").data == blob.data
        assert client.head(f"{then}/blobs/{blob.digest}").status_code == 200
        ranged = client.get(f"{then}/blobs/{blob.digest}", headers={"Range": "bytes=1-3"})
        assert ranged.data == blob.data[1:4]


def test_the_tags_are_those_of_then(client, then):
    assert client.get(f"{then}/tags/list").json["tags"] == ["gone", "v1"]
    page = client.get(f"{then}/tags/list?n=1")
    assert page.json["tags"] == ["gone"]
    assert client.get(page.headers["Link"].split(">")[0][1:]).json["tags"] == ["v1"]


def test_what_was_not_there_then_is_told(client, then):
    error = error_of(client.get(f"{then}/manifests/fresh"), 404, "MANIFEST_UNKNOWN")
    assert error["message"] == "the tag did not exist at that time"
    error_of(client.get("/v2/as-of.1999-01-01t00-00-00z/team/app/manifests/v1"), 404, "MANIFEST_UNKNOWN")
    error_of(client.get("/v2/as-of.20000101t000000z/nobody/here/manifests/v1"), 404, "NAME_UNKNOWN")
    for path in ("manifests/v1", "tags/list", f"blobs/{OLD.blobs[0].digest}", f"referrers/{OLD.digest}"):
        error = error_of(client.get(f"/v2/as-of.20990101t000000z/team/app/{path}"), 400, "NAME_INVALID")
        assert error["message"] == "that time is yet to come"


def test_what_was_deleted_can_be_pulled_while_it_is_kept(client, app, clock, then):
    assert client.delete(f"/v2/team/app/manifests/{OLD.digest}").status_code == 202
    for blob in OLD.blobs[1:]:
        assert client.delete(f"/v2/team/app/blobs/{blob.digest}").status_code == 202
    assert client.get(f"/v2/team/app/manifests/{OLD.digest}").status_code == 404
    assert client.get(f"{then}/manifests/v1").data == OLD.data
    assert client.get(f"{then}/blobs/{OLD.blobs[1].digest}").data == OLD.blobs[1].data
    clock.advance(15 * 86_400)
    app.extensions["moorage"].collector.run()
    error = error_of(client.get(f"{then}/manifests/v1"), 404, "MANIFEST_UNKNOWN")
    assert "removed for good" in error["message"]


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("rest", ["manifests/v1", "blobs/uploads/", "blobs/uploads/some", f"blobs/{OLD.digest}"])
def test_nothing_can_be_changed(client, then, method, rest):
    error_of(getattr(client, method)(f"{then}/{rest}"), 405, "UNSUPPORTED")
    assert client.get(f"{then}/manifests/v1").data == OLD.data


@pytest.mark.parametrize(
    "stamp",
    [
        "now",
        "2026",
        "20261301t000000z",
        "20261124t100000",
        "20261124t10000z",
        "2026-11-24",
        "2026-11-24t10-00-0z",
        "2026-11-24t100000z",
        "2026-11-2-t10-00-00z",
        "202011 4t100000z",
        "2020112\u0664t100000z",
    ],
)
def test_a_time_that_cannot_be_read_is_told_how(client, stamp):
    error = error_of(client.get(f"/v2/as-of.{stamp}/team/app/manifests/v1"), 400, "NAME_INVALID")
    assert "as-of.20261124t100000z" in error["message"]


def test_no_repository_takes_such_a_name(client):
    error = error_of(client.post("/v2/as-of.x/y/blobs/uploads/"), 405, "UNSUPPORTED")
    assert "cannot be changed" in error["message"]
    answer = client.post("/api/v1/repositories", json={"name": "as-of.20261124t100000z/app"})
    assert answer.status_code == 405


def test_an_index_is_converted_as_a_tag_of_today_is(client, api, clock):
    api.push("a/b", simple_index("x"), "v1")
    stamp = datetime.fromtimestamp(clock() / 1000 + 60, UTC).strftime("%Y%m%dt%H%M%Sz")
    wanted = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    clock.advance(60)
    today = client.get("/v2/a/b/manifests/v1", headers={"Accept": wanted})
    then = client.get(f"/v2/as-of.{stamp}/a/b/manifests/v1", headers={"Accept": wanted})
    assert then.headers["Content-Type"] == today.headers["Content-Type"]


def test_referrers_are_listed(client, api, then):
    answer = client.get(f"{then}/referrers/{OLD.digest}")
    assert answer.json["manifests"] == []
