"""Blobs, and then the database as well, on a mount that turned read-only: pulls go on."""

import http
import signal

import httpx
import pytest

from registry.testing.client import RegistryClient
from registry.testing.images import image, layer
from tests.support.faults import read_only
from tests.support.ports import PATIENCE
from tests.support.processes import ChildFailedError
from tests.support.pushers import RefusedError, some_bytes
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(600)]

UNAVAILABLE = http.HTTPStatus.SERVICE_UNAVAILABLE


def push_all(pusher):
    for seed, way in enumerate(pusher.ways()):
        way(some_bytes(seed, 100_000))


def refused(pusher, start: int) -> int:
    """Try every way to push, all of which must be answered 503 with Retry-After; return how many."""
    for number, way in enumerate(pusher.ways()):
        with pytest.raises(RefusedError) as caught:
            way(some_bytes(start + number, 100_000))
        assert caught.value.status == UNAVAILABLE, caught.value
    return len(pusher.ways())


def test_on_a_read_only_blob_store_pulls_go_on_and_writes_are_503(server, client, pusher, ledger, figure):
    push_all(pusher)
    content = image(layer({"a": b"1"}))
    registry = RegistryClient(client)
    registry.push("fault/one", content, "kept")
    # The bytes of this one are there already when the mount turns.
    location = pusher.patch(pusher.begin(), some_bytes(50, 1000))
    with read_only(server.data / "storage"):
        turned_away = refused(pusher, 100)
        assert not ledger.lost(server.url)
        assert registry.everything("fault/one", "kept") == content.everything()
        answer = client.patch(location, content=b"more")
        assert answer.status_code == UNAVAILABLE
        assert int(answer.headers["Retry-After"]) > 0
        assert client.get("/health/live").status_code == http.HTTPStatus.OK
        # Tags are rows: moving one needs no blob store.
        assert registry.put_manifest("fault/one", content, "moved").status_code == http.HTTPStatus.CREATED
    pusher.finish(location, some_bytes(50, 1000))
    push_all(pusher)
    figure(f"{turned_away} ways to push refused, {ledger.summary(server.url)}")


def test_with_the_database_read_only_as_well_the_server_starts_and_pulls_go_on(server, client, pusher, ledger, figure):
    push_all(pusher)
    server.stop()
    assert not list(server.data.glob("*.db-wal")), "a clean stop leaves no log to write back"
    frozen = MoorageServer(server.data, workers=2, port=server.port, ready_path="/health/live")
    with read_only(server.data), frozen, httpx.Client(base_url=frozen.url, timeout=PATIENCE) as reader:
        pulled = ledger.summary(frozen.url)
        answer = reader.post("/v2/fault/one/blobs/uploads/")
        assert answer.status_code == UNAVAILABLE, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert reader.get("/v2/fault/one/tags/list").json()["tags"]
    server.start()
    push_all(pusher)
    figure(pulled)


def test_a_database_with_a_log_to_write_back_is_not_opened_read_only(server, pusher, ledger, figure):
    push_all(pusher)
    server.kill9()
    log = server.data / "moorage.db-wal"
    assert log.exists()
    assert log.stat().st_size
    with read_only(server.data):
        frozen = MoorageServer(server.data, port=server.port)
        with pytest.raises(ChildFailedError, match="mount it writable once"):
            frozen.start()
    server.start()
    assert server.stop() in (0, -signal.SIGTERM)
    server.start()
    figure(ledger.summary(server.url))
