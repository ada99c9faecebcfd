"""nginx, HAProxy and Caddy with the files of deploy/, before two replicas over PostgreSQL and S3."""

import os
import ssl
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from registry.testing.client import RegistryClient
from registry.testing.images import digest_of, image, layer, simple_image
from tests.deploy.conftest import CLIENT_ADDRESS
from tests.support.access import PASSWORD
from tests.support.conformance import DRAFT, run_conformance
from tests.support.images import layout_blobs, write_layout
from tests.support.ports import PATIENCE, wait_until
from tests.support.proxies import PROXIES
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(400)]

MEBIBYTE = 1 << 20
LARGE = 110 * MEBIBYTE
PUSHERS = 4


@pytest.fixture
def repository():
    return f"team/{uuid.uuid4().hex[:8]}"


def test_a_large_image_is_pushed_and_pulled(proxy, crane, repository, tmp_path):
    sent = image(layer({"large": os.urandom(LARGE)}, gzipped=False))
    crane("push", write_layout(tmp_path / "in", sent), f"{proxy.host}/{repository}:1")
    crane("pull", "--format=oci", f"{proxy.host}/{repository}:1", tmp_path / "out")
    assert layout_blobs(tmp_path / "out") == sent.everything()
    assert not [path for path in proxy.folder.rglob("tmp/**/*") if path.is_file()]  # nothing waits on its disk


def test_the_pieces_of_an_upload_go_to_different_replicas(proxy, replicas, connect, answered, repository):
    client = connect()
    pieces = [os.urandom(MEBIBYTE) for _ in range(6)]
    answer = client.post(f"/v2/{repository}/blobs/uploads/")
    for piece in pieces[:3]:
        answer = client.patch(answer.headers["Location"], content=piece)
        assert answer.status_code == 202, answer.text
    answer = client.patch(answer.headers["Location"], content=iter(pieces[3:]))  # no length: it is sent chunked
    assert answer.status_code == 202, answer.text
    digest = digest_of(b"".join(pieces))
    done = client.put(answer.headers["Location"], params={"digest": digest})
    assert done.status_code == 201, done.text
    assert client.get(f"/v2/{repository}/blobs/{digest}").content == b"".join(pieces)

    def wrote(replica):
        lines = answered(replica, f"/v2/{repository}/blobs/uploads/")
        return any(line["method"] == "PATCH" for line in lines)

    for replica in replicas:
        wait_until(lambda replica=replica: wrote(replica), PATIENCE, "each replica wrote a piece")


def test_the_log_tells_the_clients_address_and_not_what_it_says_of_itself(
    proxy, replicas, connect, answered, repository
):
    client = connect(CLIENT_ADDRESS, headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"})
    client.get(f"/v2/{repository}/tags/list")

    def lines():
        return [line for replica in replicas for line in answered(replica, repository)]

    wait_until(lines, PATIENCE, "the request is in the log")
    assert {(line["remote"], line["actor"]) for line in lines()} == {(CLIENT_ADDRESS, "ann")}


def test_answers_lead_back_to_the_proxy(proxy, connect, repository):
    stranger = connect(auth=None)
    refused = stranger.get("/v2/", headers={"X-Forwarded-Proto": "http"})
    assert f'realm="https://{proxy.host}/' in refused.headers["WWW-Authenticate"]
    location = connect().post(f"/v2/{repository}/blobs/uploads/").headers["Location"]
    assert location.startswith(f"/v2/{repository}/blobs/uploads/")


def test_plain_http_is_sent_to_tls(proxy):
    moved = httpx.get(f"http://localhost:{proxy.plain}/v2/a?b=c")
    assert moved.status_code == 308
    assert moved.headers["Location"].startswith("https://localhost")
    assert moved.headers["Location"].endswith("/v2/a?b=c")


def test_with_an_external_url_answers_name_it(replicas, parts, tmp_path, repository):
    url = "https://registry.example"
    with (
        MoorageServer(tmp_path / "named", env={**parts, "MOORAGE_EXTERNAL_URL": url}) as named,
        PROXIES["nginx"](replicas=[named.port, named.port]) as proxy,
    ):
        context = ssl.create_default_context(cafile=str(proxy.authority))
        with httpx.Client(base_url=f"https://{proxy.host}", verify=context, timeout=60) as client:
            realm = client.get("/v2/").headers["WWW-Authenticate"]
            begun = client.post(f"/v2/{repository}/blobs/uploads/", auth=("ann", PASSWORD))
    assert f'realm="{url}/' in realm
    assert begun.headers["Location"].startswith(f"{url}/v2/{repository}/blobs/uploads/")


def test_a_replica_is_restarted_while_clients_push_and_pull(proxy, replicas, crane, repository, tmp_path):
    """As an upgrade does it: one replica after the other, once the proxy sends requests to the first again."""
    restarted = threading.Event()

    def push_and_pull(number):
        rounds = 0
        while rounds < 3 or not restarted.is_set():
            rounds += 1
            sent = simple_image(f"{repository} {number} {rounds}")
            ref = f"{proxy.host}/{repository}/{number}:{rounds}"
            folder = tmp_path / f"{number}-{rounds}"
            crane("push", write_layout(folder / "in", sent), ref)
            crane("pull", "--format=oci", ref, folder / "out")
            assert layout_blobs(folder / "out") == sent.everything()
        return rounds

    with ThreadPoolExecutor(PUSHERS) as pool:
        pushers = [pool.submit(push_and_pull, number) for number in range(PUSHERS)]
        try:
            for replica in replicas:
                await_requests(replica, repository)
                assert replica.stop() == 0
                replica.start()
                await_requests(replica, repository)
        finally:
            restarted.set()
        assert all(pusher.result() >= 3 for pusher in pushers)


def await_requests(replica, repository):
    """Wait until the replica has answered requests from now on; those of health checks do not count."""
    begun = replica.log.stat().st_size

    def asked():
        with replica.log.open("rb") as log:
            log.seek(begun)
            return repository.encode() in log.read()

    wait_until(asked, PATIENCE, "the replica is asked something")


def test_no_request_fails_while_a_replica_is_away(proxy, replicas, connect, repository):
    client = connect()
    registry = RegistryClient(client)
    sent = registry.push(repository, simple_image(repository), "1")
    replicas[0].stop()
    try:
        for number in range(20):
            assert registry.everything(repository, "1") == sent.everything()
            registry.push(repository, simple_image(f"{repository} {number}"), "2")
    finally:
        replicas[0].start()


@pytest.mark.timeout(900)
def test_what_is_behind_nginx_conforms(replicas, tmp_path, monkeypatch):
    with PROXIES["nginx"](replicas=[replica.port for replica in replicas]) as proxy:
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.authority))
        report = run_conformance(proxy.host, "1.1", tmp_path, login=("ann", PASSWORD), tls="enabled")
    assert report.counts["FAIL"] == report.counts["Error"] == 0, str(report)
    # A client that names no source to mount from has a token for the target alone.
    assert set(report.not_passed()) == DRAFT | {"Blob anonymous mount"}, str(report)
