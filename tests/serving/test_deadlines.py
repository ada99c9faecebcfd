"""Deadlines of connections on a machine that was too busy to read what has arrived."""

import logging
import os
import socket

import pytest
from gunicorn.config import Config

from registry.serving import readiness
from registry.serving.connection import HEAD_LIMIT, Connection, Kind
from registry.serving.worker import Worker

HEAD = b"GET /v2/quick HTTP/1.1\r\nHost: x\r\n"
GET = HEAD + b"\r\n"


class Threads:
    """Stands for the threads of requests; keeps what they were given."""

    def __init__(self):
        self.given = []

    def submit(self, connection):
        self.given.append(connection)


@pytest.fixture
def worker():
    """A worker whose threads never run."""
    made = Worker(1, os.getppid(), [], None, 30, Config(), logging.getLogger("worker"))
    made._readiness, made.tpool = readiness.make(), Threads()
    yield made
    made.tmp.close()


@pytest.fixture
def client(worker):
    """The client of a connection that waited longer than it may."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(5)
        connection = Connection(worker.cfg, ours, ("", 0), ("", 0), None)
        worker._connections.add(connection)
        worker._park(connection, -1, new=True)
        yield theirs
        worker._drop(connection)


@pytest.mark.parametrize(
    ("request_", "kind"),
    [(GET, Kind.QUICK), (GET.replace(b"GET", b"PUT"), Kind.WRITE), (GET + GET, Kind.QUICK)],
    ids=["quick", "write", "two"],
)
def test_a_request_that_nobody_had_time_to_read_is_served_though_its_time_is_up(worker, client, request_, kind):
    client.sendall(request_)
    worker.murder_keepalived()
    (served,) = worker.tpool.given
    assert (bytes(served.head), served.kind) == (request_, kind)
    assert worker.nr_conns == 1


def test_the_rest_of_a_head_is_read_before_its_time_is_up(worker, client):
    (connection,) = worker._connections
    connection.head += HEAD
    client.sendall(b"\r\n")
    worker.murder_keepalived()
    assert worker.tpool.given == [connection]


@pytest.mark.parametrize(
    ("sent", "status"),
    [(HEAD, b"408"), (b"G", b"408"), (b"GET /" + b"x" * HEAD_LIMIT, b"431")],
    ids=["most", "little", "too much"],
)
def test_a_head_that_is_not_there_in_time_is_refused_and_the_connection_ends(worker, client, sent, status):
    client.setblocking(False)
    client.send(sent)
    client.settimeout(5)
    worker.murder_keepalived()
    assert client.recv(4096).startswith(b"HTTP/1.1 " + status)
    assert client.recv(4096) == b""
    assert worker.tpool.given == []


@pytest.mark.parametrize("leaves", [False, True])
def test_who_sent_nothing_is_let_go_without_a_word(worker, client, leaves):
    if leaves:
        client.shutdown(socket.SHUT_WR)
    worker.murder_keepalived()
    assert client.recv(4096) == b""
    assert worker.nr_conns == 0


def test_a_worker_that_ends_reads_no_more(worker, client):
    client.sendall(GET)
    worker.murder_keepalived(force=True)
    assert (worker.tpool.given, worker.nr_conns) == ([], 0)
