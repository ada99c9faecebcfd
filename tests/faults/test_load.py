"""Memory that does not grow with a blob, and clients that do nothing and keep nobody else waiting."""

import contextlib
import hashlib
import http.client
import random
import re
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.ports import PATIENCE, wait_until
from tests.support.processes import group_members
from tests.support.pushers import some_bytes
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.alone, pytest.mark.timeout(hang_guard(1800))]

MIB = 1 << 20
MORE_AT_MOST = 32 * MIB
_PSS = re.compile(rb"^Pss: +(\d+) kB", re.MULTILINE)


def resident(server) -> int:
    """Return the proportional set size of all the server's processes, in bytes."""
    total = 0
    for pid in group_members(server.pid):
        with contextlib.suppress(OSError):
            total += int(_PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())[1]) << 10
    return total


class Peak:
    """Watches the server's memory while the context lasts; `highest` is in bytes."""

    def __init__(self, server):
        self._server, self._done = server, threading.Event()
        self.highest = 0
        self._thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self._done.wait(0.05):
            self.highest = max(self.highest, resident(self._server))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


def pieces(count: int) -> Iterator[bytes]:
    block = bytearray(random.Random(7).randbytes(MIB))
    for number in range(count):
        block[:8] = number.to_bytes(8, "big")
        yield bytes(block)


def test_a_long_blob_goes_in_and_out_in_little_memory(server, client, figure):
    count = scaled(2048, minimum=256)
    hasher = hashlib.sha256()
    for piece in pieces(count):
        hasher.update(piece)
    digest, length = f"sha256:{hasher.hexdigest()}", count * MIB
    # Whatever is loaded once is loaded by then.
    small = some_bytes(1, 2 * MIB)
    name = f"sha256:{hashlib.sha256(small).hexdigest()}"
    for _ in range(8):
        assert client.post(f"/v2/fault/one/blobs/uploads/?digest={name}", content=small).status_code == 201
        assert len(client.get(f"/v2/fault/one/blobs/{name}").content) == len(small)
    before = resident(server)
    with Peak(server) as rising:
        headers = {"Content-Length": str(length)}
        location = client.post("/v2/fault/one/blobs/uploads/").headers["Location"]
        assert client.patch(location, content=pieces(count), headers=headers).status_code == 202
        assert client.put(f"{location}?digest={digest}").status_code == 201
    with Peak(server) as falling:
        received = hashlib.sha256()
        with client.stream("GET", f"/v2/fault/one/blobs/{digest}") as answer:
            assert answer.status_code == 200
            for piece in answer.iter_bytes(MIB):
                received.update(piece)
    assert f"sha256:{received.hexdigest()}" == digest
    more_in, more_out = rising.highest - before, falling.highest - before
    figure(
        f"{count} MiB: {more_in / MIB:.1f} MiB more going in, {more_out / MIB:.1f} going out, over {before / MIB:.0f}"
    )
    assert before > 0
    assert rising.highest > 0
    assert max(more_in, more_out) < MORE_AT_MOST


@pytest.fixture
def many_files():
    """Let this process and the servers it starts hold a socket for each client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(server, said: bytes) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    opened.sendall(said)
    return opened


def pull(server, path: str) -> tuple[int, bytes]:
    """GET over a new connection, as a client that just came, with no more cost of its own than that."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def still_served(client: socket.socket) -> bool:
    """Tell whether the server has neither answered nor hung up."""
    client.settimeout(0)
    try:
        client.recv(1)
    except BlockingIOError:
        return True
    except ConnectionError:
        pass
    return False


def test_idle_and_trickling_clients_keep_nobody_from_pulling(tmp_path, many_files, figure):
    idle, trickling = 500, 100
    data = some_bytes(1, MIB)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    # Nobody is sent away for being slow before the last pull is done.
    waits = dict.fromkeys(("MOORAGE_HEADER_TIMEOUT", "MOORAGE_BODY_TIMEOUT"), "1d")
    with (
        MoorageServer(tmp_path / "data", workers=2, threads=4, env=waits) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
        contextlib.ExitStack() as opened,
    ):
        assert client.post(f"/v2/fault/one/blobs/uploads/?digest={digest}", content=data).status_code == 201
        slow = []
        silent = [opened.enter_context(connect(server, b"")) for _ in range(idle)]
        head = f"Host: {server.host}\r\nContent-Length: 1000000\r\n\r\n"
        for number in range(trickling):
            location = client.post("/v2/fault/one/blobs/uploads/").headers["Location"]
            # Half of them trickle a body, the others a head.
            said = f"PATCH {location} HTTP/1.1\r\n{head if number % 2 else 'X-A: '}"
            slow.append(opened.enter_context(connect(server, said.encode())))
        done = threading.Event()

        def trickle():
            while not done.wait(0.2):
                for one in slow:
                    with contextlib.suppress(OSError):
                        one.send(b"x")

        feeder = threading.Thread(target=trickle)
        feeder.start()
        try:
            uploads = server.data / "storage" / "uploads"
            wait_until(lambda: len(list(uploads.iterdir())) >= trickling // 2, PATIENCE, "the slow bodies are received")
            taken = []
            for _ in range(scaled(1000, minimum=50)):
                start = time.monotonic()
                status, content = pull(server, f"/v2/fault/one/blobs/{digest}")
                taken.append(time.monotonic() - start)
                assert (status, len(content)) == (200, len(data))
        finally:
            done.set()
            feeder.join()
        stayed = sum(map(still_served, silent)), sum(map(still_served, slow))
    median, worst = sorted(taken)[len(taken) // 2], max(taken)
    figure(
        f"{len(taken)} pulls beside {stayed[0]} idle and {stayed[1]} slow clients: "
        f"median {median * 1000:.0f} ms, worst {worst * 1000:.0f} ms"
    )
    assert stayed == (idle, trickling)
