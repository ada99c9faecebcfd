"""Tags and repositories, page by page."""

from urllib.parse import parse_qs, urlsplit

import pytest

from registry.testing.images import artifact
from tests.support.api import error_of, link_of

ARTIFACT = artifact("application/vnd.example.thing")
# Bytewise order: digits, capitals, underscore, small letters.
TAGS = ["0", "1.0", "10", "A", "Z", "_", "a", "a-b", "a.b", "b"]


def pages(client, path, key):
    """Follow the links from `path` and return the pages."""
    found = []
    while path is not None:
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        found.append(answer.json[key])
        path = link_of(answer)
    return found


@pytest.fixture
def tags(api):
    api.push("a/b", ARTIFACT)
    for tag in reversed(TAGS):
        assert api.put_manifest("a/b", tag, ARTIFACT).status_code == 201


def test_all_tags_in_bytewise_order(client, tags):
    answer = client.get("/v2/a/b/tags/list")
    assert answer.json == {"name": "a/b", "tags": TAGS}
    assert link_of(answer) is None


def test_tags_by_pages(client, tags):
    for size in (1, 3, 5, 9):
        found = pages(client, f"/v2/a/b/tags/list?n={size}", "tags")
        assert found == [TAGS[start : start + size] for start in range(0, len(TAGS), size)]


def test_one_page_holds_all(client, tags):
    for size in (10, 11, 100, 101, 2**31, 10**17):
        assert pages(client, f"/v2/a/b/tags/list?n={size}", "tags") == [TAGS]


def test_tags_after_one_that_need_not_exist(client, tags):
    for last in ("", "0", "1", "Z", "a", "a.", "b", "zzz", "ü", "/"):
        answer = client.get("/v2/a/b/tags/list", query_string={"last": last})
        assert answer.json["tags"] == [tag for tag in TAGS if tag > last], last


def test_a_page_of_none_names_none_and_leads_nowhere(client, tags):
    answer = client.get("/v2/a/b/tags/list?n=0")
    assert (answer.json["tags"], link_of(answer)) == ([], None)


def test_a_page_keeps_its_place_while_tags_come_and_go(client, api, tags):
    following = link_of(client.get("/v2/a/b/tags/list?n=4"))
    assert client.delete("/v2/a/b/manifests/A").status_code == 202
    assert api.put_manifest("a/b", "00", ARTIFACT).status_code == 201
    assert client.get(following).json["tags"] == TAGS[4:8]


def test_a_repository_without_tags_and_none_at_all(client, api):
    api.push("a/b", ARTIFACT)
    assert client.get("/v2/a/b/tags/list").json == {"name": "a/b", "tags": []}
    assert error_of(client.get("/v2/nobody/tags/list"), 404, "NAME_UNKNOWN")["detail"] == {"name": "nobody"}


def test_the_catalog_lists_what_holds_a_manifest_by_pages(client, api):
    names = ["a", "a-b/c", "a/b", "b", "z/z"]
    for name in reversed(names):
        api.push(name, ARTIFACT, "v1")
    api.push_blob("only/blobs", b"x")
    assert client.get("/v2/_catalog").json == {"repositories": names}
    assert pages(client, "/v2/_catalog?n=2", "repositories") == [names[:2], names[2:4], names[4:]]
    assert client.get("/v2/_catalog?last=a/b").json["repositories"] == ["b", "z/z"]
    assert client.delete(f"/v2/b/manifests/{ARTIFACT.digest}").status_code == 202
    assert client.get("/v2/_catalog").json["repositories"] == ["a", "a-b/c", "a/b", "z/z"]


@pytest.mark.parametrize("path", ["/v2/_catalog", "/v2/a/b/tags/list", f"/v2/a/b/referrers/{ARTIFACT.digest}"])
def test_a_page_size_that_is_no_number(client, api, path):
    api.push("a/b", ARTIFACT)
    for size in ("-1", "x", "", "1.5", "+1", " 1", "1e3", "٣", "9" * 19, "\x00", "0x10"):
        answer = client.get(path, query_string={"n": size})
        assert error_of(answer, 400, "PAGINATION_NUMBER_INVALID")["detail"] == {"n": size}


@pytest.mark.parametrize("path", ["/v2/_catalog", "/v2/a/b/tags/list"])
def test_a_page_is_capped_whatever_the_client_asks(client, api, app, path):
    cap = app.extensions["moorage"].settings.page_size_max
    names = [f"r{number:03}" for number in range(cap + 1)]
    api.push("a/b", ARTIFACT)
    if path == "/v2/_catalog":
        for name in names:
            assert client.post(f"/v2/{name}/blobs/uploads/?mount={ARTIFACT.config.digest}").status_code == 201
            assert api.put_manifest(name, ARTIFACT.digest, ARTIFACT).status_code == 201
    else:
        assert api.put_manifest("a/b", ARTIFACT.digest, ARTIFACT, tags=names).status_code == 201
    for query in ("", f"?n={2**31}"):
        answer = client.get(path + query)
        (found,) = [value for value in answer.json.values() if isinstance(value, list)]
        assert len(found) == cap
        asked = parse_qs(urlsplit(link_of(answer)).query)
        assert asked == {"n": [str(cap)], "last": [found[-1]]}
