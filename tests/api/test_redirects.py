"""Blobs that clients fetch from the store: who is sent there, for which requests, and that nobody else learns where."""

import io
import logging

import pytest

from registry import logs
from registry.hooks import StorageError
from registry.settings import Settings, SettingsError
from registry.storage.memory import MemoryStorage
from registry.testing.images import Blob

BLOB = Blob(b"0123456789" * 100)
SMALL = Blob(b"small")
SECRET = "X-Amz-Signature=5ec4e7"
NEAR, FAR = "10.1.2.3", "192.0.2.7"


class Reachable(MemoryStorage):
    """Memory that claims to be reachable by URL."""

    def url_of(self, key, content_type, seconds):
        return f"https://store.example.org/{key}?type={content_type}&seconds={seconds}&{SECRET}"


class Keyless(MemoryStorage):
    def url_of(self, key, content_type, seconds):
        raise StorageError("no credentials")


@pytest.fixture
def made(with_plugins, make_plugin):
    """Make a client of a registry whose store can be reached, with two blobs in it."""

    def make(store=Reachable, **settings):
        drivers = make_plugin("reachable", storage_drivers=lambda: {"reach": lambda url, options: store()})
        settings = {"storage_redirect": ("always",), "storage_redirect_min": 100, **settings}
        direct = with_plugins(drivers, storage_url="reach:", **settings)
        if not direct.services.settings.authentication:
            for blob in (BLOB, SMALL):
                direct.upload(blob)
        return direct.app.test_client()

    return make


def get(client, blob=BLOB, address=FAR, method="GET", path="/v2/team/app/blobs/", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.open(f"{path}{blob.digest}", method=method, headers=headers, environ_base={"REMOTE_ADDR": address})


def test_a_blob_is_fetched_from_the_store(made):
    answer = get(made())
    assert answer.status_code == 307
    assert answer.location.startswith("https://store.example.org/")
    assert "type=application/octet-stream&seconds=300" in answer.location
    assert answer.headers["Docker-Content-Digest"] == BLOB.digest
    assert (answer.data, answer.headers["Content-Length"]) == (b"", "0")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers


def test_what_was_is_fetched_from_there_too(made):
    assert get(made(), path="/v2/as-of.20200101t000000z/team/app/blobs/").status_code == 307


def test_short_blobs_and_heads_stay_here(made):
    client = made()
    assert get(client, SMALL).data == SMALL.data
    head = get(client, method="HEAD")
    assert (head.status_code, head.headers["Content-Length"]) == (200, "1000")


def test_off_is_the_default(made):
    assert get(made(storage_redirect=())).data == BLOB.data


def test_only_clients_of_the_networks_that_are_set_go_there(made):
    client = made(storage_redirect=("10.0.0.0/8", "2001:db8::/32"))
    assert get(client, address=NEAR).status_code == 307
    assert get(client, address="2001:db8::1").status_code == 307
    assert get(client, address=f"::ffff:{NEAR}").status_code == 307
    assert get(client, address=FAR).data == BLOB.data
    assert get(client, address="").data == BLOB.data


def test_the_address_is_the_one_that_a_trusted_proxy_tells(made):
    client = made(storage_redirect=("10.0.0.0/8",), trusted_proxies=("192.0.2.0/24",))
    assert get(client, address=FAR, X_Forwarded_For=NEAR).status_code == 307
    assert get(client, address="198.51.100.1", X_Forwarded_For=NEAR).data == BLOB.data


def test_a_range_goes_along_if_it_can_be_served(made):
    client = made()
    assert get(client, Range="bytes=5-9").status_code == 307
    assert get(client, Range="bytes=-5").status_code == 307
    assert get(client, Range="bytes=5000-").status_code == 416
    assert get(client, Range="bytes=1-2,5-6").data == BLOB.data
    assert get(client, Range="lines=1-2").data == BLOB.data


@pytest.mark.parametrize(
    "header", ["If-Match", "If-None-Match", "If-Range", "If-Modified-Since", "If-Unmodified-Since"]
)
def test_conditions_are_about_our_tags(made, header):
    assert get(made(), **{header: '"other"'}).data == BLOB.data


def test_who_has_the_blob_already_is_told_so(made):
    assert get(made(), If_None_Match=f'"{BLOB.digest}"').status_code == 304


def test_who_may_not_read_learns_no_url(made):
    made()
    answer = get(made(authentication=True))
    assert answer.status_code == 401
    assert "store.example.org" not in str(answer.headers)


def test_a_blob_that_is_not_here_is_not_there(made):
    assert get(made(), Blob(b"other" * 100)).status_code == 404


def test_a_store_that_cannot_sign(made):
    answer = get(made(Keyless))
    assert (answer.status_code, answer.json["errors"][0]["message"]) == (503, "the storage does not answer")


def test_a_store_that_gives_no_urls_is_refused_at_the_start(with_plugins):
    with pytest.raises(SettingsError, match="storage_redirect is set, but nobody can fetch blobs from memory: storage"):
        with_plugins(storage_url="memory:", storage_redirect=("always",))


def test_a_url_that_gets_into_a_log_opens_nothing():
    event = logs.conceal(None, "", {"event": f"GET https://store.example.org/k?a=1&{SECRET}&b=2"})
    assert event["event"] == "GET https://store.example.org/k?a=1&X-Amz-Signature=********&b=2"


def test_the_sdk_tells_no_signature_at_any_level(monkeypatch):
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    try:
        logs.configure(Settings(log_level="debug", log_format="json"), stream)
        logging.getLogger("botocore.auth").debug("Signature:\n%s", "5ec4e7")
        logging.getLogger("seen").debug("seen")
    finally:
        root.handlers[:], root.level = before
    assert "seen" in stream.getvalue()
    assert "5ec4e7" not in stream.getvalue()
