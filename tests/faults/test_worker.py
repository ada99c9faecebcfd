"""The worker beside a server: it comes and goes with it, and comes back by itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.ports import PATIENCE, wait_until
from tests.support.processes import children
from tests.support.server import MoorageServer

pytestmark = pytest.mark.needs_tools


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def worker_of(server):
    """Return the worker's process id, or None while there is none."""
    found = [pid for pid in children(server.pid) if b"worker" in command_of(pid)]
    return found[0] if found else None


def run_by_hand(url, job="collection"):
    """Ask for a run, and wait for its end."""
    with httpx.Client(base_url=f"{url}/api/v1", timeout=PATIENCE) as client:
        run = client.post(f"/jobs/{job}/runs", json={}).json()["id"]
        wait_until(lambda: client.get(f"/runs/{run}").json()["finished"], PATIENCE, "the run's end")
        return client.get(f"/runs/{run}").json()


@pytest.fixture
def server(tmp_path):
    with MoorageServer(tmp_path / "data", worker=True) as running:
        wait_until(lambda: worker_of(running) is not None, PATIENCE, "a worker")
        yield running


def test_a_server_has_a_worker_that_ends_with_it(server):
    assert run_by_hand(server.url)["state"] == "DONE"
    worker = worker_of(server)
    server.stop()
    assert command_of(worker) == []


def test_a_worker_that_dies_is_started_again(server):
    first = worker_of(server)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: worker_of(server) not in (None, first), PATIENCE, "another worker")
    assert run_by_hand(server.url)["state"] == "DONE"


def test_no_worker_outlives_a_server_that_was_killed(server):
    worker = worker_of(server)
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: command_of(worker) == [], PATIENCE, "the worker's end")


def test_a_server_can_be_told_to_have_none(tmp_path):
    with MoorageServer(tmp_path / "data") as server:
        assert worker_of(server) is None


def test_a_storage_in_memory_has_no_worker_and_says_so(tmp_path):
    with MoorageServer(tmp_path / "data", worker=True, args=["--storage-url", "memory:"]) as server:
        assert worker_of(server) is None
        assert "no other process can reach a storage in memory" in server.log.read_text()


def test_a_worker_runs_what_is_due_once_and_says_whether_all_went_well(tmp_path):
    with MoorageServer(tmp_path / "data"):
        argv = [sys.executable, "-m", "registry", "worker", "--once", "--data", str(tmp_path / "data")]
        assert subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE).returncode == 0
    argv[-1] = str(tmp_path / "empty")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert "moorage db upgrade" in done.stderr
