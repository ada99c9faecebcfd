"""The ground the other tests stand on holds."""

import contextlib
import itertools
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from tests.support.alone import turn
from tests.support.network import NetworkRefusedError, is_loopback
from tests.support.ports import (
    PATIENCE,
    DeadlineExceededError,
    free_port,
    is_open,
    wait_for_count,
    wait_port,
    wait_until,
)
from tests.support.processes import Child, ChildFailedError, frozen, group_members, killed_after
from tests.support.scale import hang_guard, scaled
from tests.support.services import Containerd, Dockerd, PostgresServer, VersityGateway
from tests.support.tools import find_tool, tool

LISTEN = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), None).serve_forever()"
STUBBORN = "import signal, os; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); print('up', flush=True); signal.pause()"


@pytest.fixture
def listener(tmp_path):
    port = free_port()
    argv = [sys.executable, "-c", LISTEN, str(port)]
    return port, Child(argv, tmp_path / "log", ready=lambda: is_open(port))


def test_scale_multiplies_and_keeps_a_minimum(monkeypatch):
    monkeypatch.setenv("MOORAGE_TEST_SCALE", "0.1")
    assert scaled(1000) == 100
    assert scaled(3) == 1
    assert scaled(3, minimum=2) == 2


def test_only_what_is_not_run_in_full_has_a_timeout(monkeypatch):
    monkeypatch.setenv("MOORAGE_TEST_SCALE", "0.1")
    assert hang_guard(600) == 600
    monkeypatch.setenv("MOORAGE_TEST_SCALE", "1")
    assert hang_guard(600) == 0


def test_a_missing_tool_skips_and_in_ci_fails(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="make tools"):
        tool("no-such-program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="make tools"):
        tool("no-such-program")


def test_a_tool_of_the_cache_comes_before_path(monkeypatch, tmp_path):
    monkeypatch.setenv("MOORAGE_TOOLS", str(tmp_path))
    program = tmp_path / "bin" / "sh"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_tool("sh") == str(program)
    assert find_tool("docker") in (None, "/usr/bin/docker")


def test_waiting_ends_with_what_did_not_come():
    wait_until(lambda: True, 0, "nothing")
    with pytest.raises(DeadlineExceededError, match="the tide turns"):
        wait_until(lambda: False, 0.02, "the tide turns")


def test_a_count_is_waited_for_as_long_as_it_moves():
    turns = itertools.count()
    wait_for_count(lambda: next(turns), 50, "turns are made", stall=0)
    with pytest.raises(DeadlineExceededError, match=r"boats come in \(2 of 3\)"):
        wait_for_count(lambda: 2, 3, "boats come in", stall=0.02)
    ripples = itertools.count()
    wait_for_count(lambda: next(turns) > 200, 1, "turns are made", moved=lambda: next(ripples), stall=0)


def test_a_frozen_process_stands_where_it_should_and_then_runs_on():
    asked = itertools.count()
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
        heard = threading.Event()
        with frozen(cat.pid, at=lambda: next(asked) == 2):
            cat.stdin.write(b"ahoy\n")
            cat.stdin.flush()
            listener = threading.Thread(target=lambda: heard.set() if cat.stdout.readline() == b"ahoy\n" else None)
            listener.start()
            assert not heard.wait(0.05)
        listener.join()
        assert heard.is_set()
        cat.stdin.close()
    assert next(asked) == 3


def test_what_is_left_of_the_processes_is_killed():
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as cat:
        with killed_after([gone.pid, cat.pid]):
            assert cat.poll() is None
        assert cat.wait() == -signal.SIGKILL


def test_a_child_is_ready_and_stops(listener):
    port, child = listener
    with child:
        wait_port(port)
        group = child.pid
        assert group_members(group)
    assert not group_members(group)
    assert not is_open(port)


def test_a_child_starts_again_after_a_kill(listener):
    port, child = listener
    with child:
        assert child.kill9() == -signal.SIGKILL
        assert not is_open(port)
        child.start()
        assert is_open(port)


def test_a_child_that_ends_at_once_shows_its_log(tmp_path):
    child = Child([sys.executable, "-c", "print('no ballast'); raise SystemExit(3)"], tmp_path / "log", lambda: False)
    with pytest.raises(ChildFailedError, match=r"status 3 before it was ready\nno ballast"):
        child.start()
    assert not child.running


def test_a_group_that_ignores_sigterm_is_killed(tmp_path):
    log = tmp_path / "log"
    child = Child(
        [sys.executable, "-W", "ignore", "-c", STUBBORN],
        log,
        ready=lambda: log.read_text().count("up") == 2,
        stop_deadline=0.2,
    )
    child.start()
    group = child.pid
    assert len(group_members(group)) == 2
    assert child.stop() == -signal.SIGKILL
    assert not group_members(group)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        (None, True),
        ("10.0.0.1", False),
        ("example.com", False),
        ("2001:db8::1", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_loopback_is_told_from_the_rest(host, expected):
    assert is_loopback(host) is expected


def test_a_quick_test_cannot_leave_the_machine():
    with socket.socket() as client, pytest.raises(NetworkRefusedError):
        client.connect(("192.0.2.1", 80))
    with socket.socket() as client, pytest.raises(NetworkRefusedError):
        client.connect_ex(("192.0.2.1", 80))
    with socket.socket(type=socket.SOCK_DGRAM) as client, pytest.raises(NetworkRefusedError):
        client.sendto(b"x", ("192.0.2.1", 53))
    with pytest.raises(NetworkRefusedError):
        socket.getaddrinfo("example.com", 443)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def test_who_is_alone_waits_for_all_and_all_wait_for_it(tmp_path):
    order, threads = [], []

    def run(name, *, alone):
        with turn(tmp_path, alone=alone):
            order.append(name)

    def start(name, *, alone=False):
        threads.append(threading.Thread(target=run, args=(name,), kwargs={"alone": alone}))
        threads[-1].start()

    def blocked(count):
        files = {(tmp_path / name).stat().st_ino for name in ("door", "machine")}
        waiting = [line for line in Path("/proc/locks").read_text().splitlines() if " -> FLOCK" in line]
        return sum(int(line.split()[6].rpartition(":")[2]) in files for line in waiting) == count

    with turn(tmp_path, alone=False):
        start("beside")
        threads[-1].join()
        start("alone", alone=True)
        wait_until(lambda: blocked(1), PATIENCE, "it waits for the one that runs")
        start("later")
        wait_until(lambda: blocked(2), PATIENCE, "who comes later does not overtake it")
        assert order == ["beside"]
    for thread in threads:
        thread.join()
    assert order == ["beside", "alone", "later"]


@pytest.mark.needs_tools
def test_postgres_gives_databases_and_survives_a_kill():
    with PostgresServer() as server:
        server.create_database("template_x")
        server.execute("CREATE TABLE cargo (tons int)", "template_x")
        url = server.create_database("copy", template="template_x")
        assert url.startswith("postgresql+psycopg://postgres@127.0.0.1:")
        server.execute("INSERT INTO cargo VALUES (1)", "copy")
        server.kill9()
        server.start()
        server.execute("INSERT INTO cargo VALUES (2)", "copy")
        server.drop_database("copy")
        folder = server.folder
    assert not folder.exists()
    assert not is_open(server.port)


@pytest.mark.needs_tools
def test_a_database_is_emptied_whoever_uses_it_and_whatever_refers_to_what(postgres):
    postgres.create_database("emptied")
    for statement in (
        "CREATE TABLE ship (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)",
        "CREATE TABLE cargo (ship int NOT NULL REFERENCES ship)",
        "CREATE TABLE kept AS SELECT 1 AS one",
    ):
        postgres.execute(statement, "emptied")
    fill = ("INSERT INTO ship DEFAULT VALUES", "INSERT INTO cargo VALUES (1)")
    for statement in fill:
        postgres.execute(statement, "emptied")
    where = {"host": "127.0.0.1", "port": postgres.port, "user": "postgres", "dbname": "emptied"}
    with contextlib.closing(psycopg.connect(**where)) as other:
        other.execute("SELECT * FROM cargo FOR UPDATE")
        postgres.empty_database("emptied", keep=["kept"])
    counts = "SELECT (SELECT count(*) FROM ship), (SELECT count(*) FROM cargo), (SELECT count(*) FROM kept)"
    with contextlib.closing(psycopg.connect(**where)) as connection:
        assert connection.execute(counts).fetchone() == (0, 0, 1)
        for statement in fill:  # the numbers begin anew
            connection.execute(statement)


@pytest.mark.needs_tools
def test_the_session_s_postgres_is_shared(postgres):
    assert postgres.accepts()


@pytest.mark.needs_tools
def test_the_s3_gateway_keeps_objects(s3_gateway):
    bucket = s3_gateway.create_bucket("support")
    with contextlib.closing(s3_gateway.client()) as client:
        client.put_object(Bucket=bucket, Key="a/b", Body=b"cargo")
        assert client.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"cargo"
    assert s3_gateway.settings(bucket, "p")["MOORAGE_STORAGE_URL"] == "s3://support/p"


@pytest.mark.needs_tools
def test_the_s3_gateway_stops_and_starts_on_the_same_data():
    with VersityGateway() as gateway:
        bucket = gateway.create_bucket("kept")
        gateway.stop()
        assert not is_open(gateway.port)
        gateway.start()
        with contextlib.closing(gateway.client()) as client:
            assert [found["Name"] for found in client.list_buckets()["Buckets"]] == [bucket]
    assert not is_open(gateway.port)


@pytest.mark.needs_tools
def test_docker_s_daemon_starts_and_stops():
    with Dockerd(insecure_registries=("127.0.0.1:1",)) as daemon:
        shown = daemon.docker("version", "--format", "{{.Client.Version}} {{.Server.Version}}").stdout.split()
        assert shown[0] == shown[1]
    assert not daemon.folder.exists()


@pytest.mark.needs_tools
def test_containerd_starts_and_stops():
    with Containerd() as daemon:
        assert "Server" in daemon.ctr("version").stdout
    assert not daemon.folder.exists()
