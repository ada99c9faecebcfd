"""Writers that stop, clients that vanish, a server told to end, a database that does not answer."""

import contextlib
import http
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from registry.db import sqlite
from tests.support.ports import PATIENCE, is_open, wait_until
from tests.support.processes import children, frozen
from tests.support.pushers import Pusher, some_bytes
from tests.support.server import MoorageServer
from tests.support.services import PostgresServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(600)]

FIRST, DATA = 100_000, some_bytes(5, 400_000)


class HalfRequest:
    """A PATCH whose body stays open: `send` sends more of it, `answer` waits for what comes back."""

    def __init__(self, server, location: str, announced: int):
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        head = f"PATCH {location} HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {announced}\r\n\r\n"
        self._socket.sendall(head.encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, data: bytes):
        self._socket.sendall(data)

    def answer(self) -> int:
        with self._socket.makefile("rb") as file:
            line = file.readline().split()
        return int(line[1]) if line else 0

    def reset(self):
        """Vanish without a word of farewell."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._socket.close()


def wait_until_writing(data):
    """Look at the one upload's file: asking the registry would take part in what is watched, and hurry by a deadline."""

    def grows():
        with contextlib.suppress(FileNotFoundError):
            return any(file.stat().st_size > FIRST for file in (data / "storage" / "uploads").iterdir())

    wait_until(grows, PATIENCE, "the writer has the upload's file open")


@contextlib.contextmanager
def writing_to(data, patience=PATIENCE):
    """Be the one who writes to the database while the context lasts; raises the driver's error where another stays."""
    library = sqlite.library()
    with contextlib.closing(library.connect(data / "moorage.db", timeout=patience, isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        yield
        held.execute("ROLLBACK")


def nobody_writes_to(data) -> bool:
    try:
        with writing_to(data, patience=0):
            return True
    except sqlite.library().OperationalError:
        return False


def offset(client, location: str) -> int:
    told = client.get(location)
    assert told.status_code == 204, told.text
    return int(told.headers["Range"].partition("-")[2]) + 1


def test_a_writer_stopped_past_its_deadline_is_overtaken_and_changes_nothing_when_it_wakes(tmp_path, ledger, figure):
    settings = {"MOORAGE_UPLOAD_DEADLINE": "1"}
    data = tmp_path / "data"
    with (
        MoorageServer(data, workers=1, threads=4, env=settings) as slow,
        MoorageServer(data, workers=1, threads=4, env=settings) as other,
        httpx.Client(base_url=other.url, timeout=PATIENCE) as client,
    ):
        pusher = Pusher(client, ledger)
        location = pusher.patch(pusher.begin(), DATA[:FIRST])
        others = some_bytes(6, len(DATA) - FIRST)
        with HalfRequest(slow, location, len(others)) as late:
            late.send(others[: len(others) // 2])
            wait_until_writing(data)
            (worker,) = children(slow.pid)
            # Inside a transaction it would keep everybody from writing, which is another fault.
            with frozen(worker, at=lambda: nobody_writes_to(data)):
                late.send(others[len(others) // 2 :])
                pusher.finish_late(location, DATA, DATA[FIRST:])
                during = ledger.summary(other.url)
            status = late.answer()
        assert status in (404, 409), status
        assert ledger.summary(other.url) == during
        assert ledger.summary(slow.url) == during
    figure(f"the late writer was told {status}; {during}")


@pytest.mark.parametrize("way", ["vanishes", "closes"])
def test_after_a_client_is_gone_the_upload_goes_on_where_it_was_acknowledged(
    server, client, pusher, ledger, figure, way
):
    location = pusher.patch(pusher.begin(), DATA[:FIRST])
    with HalfRequest(server, location, len(DATA) - FIRST) as cut:
        cut.send(DATA[FIRST : 2 * FIRST])
        wait_until_writing(server.data)
        if way == "vanishes":
            cut.reset()
    assert offset(client, location) == FIRST
    pusher.finish_late(location, DATA, DATA[FIRST:])
    again = pusher.begin()
    pusher.finish(again, DATA, DATA)
    figure(ledger.summary(server.url))


def test_an_upload_in_flight_ends_well_when_the_server_is_told_to_stop(server, client, pusher, ledger, figure):
    location = pusher.patch(pusher.begin(), DATA[:FIRST])
    rest = DATA[FIRST:]
    with HalfRequest(server, location, len(rest)) as slow, ThreadPoolExecutor(1) as pool:
        slow.send(rest[:1000])
        wait_until_writing(server.data)
        stopping = pool.submit(server.stop)
        wait_until(lambda: not is_open(server.port), PATIENCE, "new connections are refused")
        assert not stopping.done()
        slow.send(rest[1000:])
        status = slow.answer()
        assert stopping.result(PATIENCE) == 0
    assert status == http.HTTPStatus.ACCEPTED
    server.start()
    assert offset(client, location) == len(DATA)
    pusher.finish_late(location, DATA)
    figure(ledger.summary(server.url))


def test_while_the_database_is_locked_pushes_are_503_and_pulls_go_on(server, client, pusher, ledger, figure):
    pusher.whole(DATA)
    with writing_to(server.data), ThreadPoolExecutor(3) as pool:
        path = f"{server.url}/v2/fault/one/blobs/uploads/"
        waiting = [pool.submit(httpx.post, path, timeout=PATIENCE) for _ in range(3)]
        assert not ledger.lost(server.url), "pulls wait for no writer"
        answers = [one.result() for one in waiting]
    assert {one.status_code for one in answers} == {503}, [one.text for one in answers]
    assert all(int(one.headers["Retry-After"]) > 0 for one in answers)
    slowest = max(one.elapsed.total_seconds() for one in answers)
    pusher.put(DATA + b"more")
    figure(f"503 after {slowest:.0f} s at most; {ledger.summary(server.url)}")


def ask_many(client, ledger):
    (repository, digest) = next(iter(ledger.blobs))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.head, f"/v2/{repository}/blobs/{digest}") for _ in range(40)]
        asked += [pool.submit(client.post, f"/v2/{repository}/blobs/uploads/") for _ in range(40)]
    assert {one.result().status_code for one in asked} == {200, 202}


def test_while_postgresql_is_down_all_is_503_and_it_comes_back_without_a_restart(tmp_path, ledger, figure):
    with PostgresServer() as database:
        settings = {"MOORAGE_DATABASE_URL": database.create_database("faults")}
        with (
            MoorageServer(tmp_path / "data", env=settings) as server,
            httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
        ):
            pusher = Pusher(client, ledger)
            pusher.whole(DATA)
            ask_many(client, ledger)  # so that several connections are kept
            database.kill9()
            answers = [client.get("/v2/fault/one/tags/list"), client.post("/v2/fault/one/blobs/uploads/")]
            answers.append(client.get(f"/v2/fault/one/blobs/{next(iter(ledger.blobs))[1]}"))
            assert [one.status_code for one in answers] == [503] * 3, [one.text for one in answers]
            assert all(int(one.headers["Retry-After"]) > 0 for one in answers)
            database.start()
            ask_many(client, ledger)
            pusher.put(DATA + b"more")
            figure(ledger.summary(server.url))
