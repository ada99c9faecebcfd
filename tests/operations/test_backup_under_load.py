"""Backups beside a registry that pushes, deletes and collects all the time, restored into either kind of database."""

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import pytest

from tests.operations.conftest import ROOT, command
from tests.support.ports import PATIENCE, wait_until
from tests.support.pushers import Ledger, pushing
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(hang_guard(900))]
SHORTEST = {
    "MOORAGE_LEASE_SECONDS": "5s",
    "MOORAGE_GRACE_SECONDS": "10s",
    "MOORAGE_RECOVERY_WINDOW": "1s",
    "MOORAGE_ACCESS_LOG": "false",
}
DELETED = "fault/deleted"


@pytest.fixture
def database(postgres):
    """Give the function that returns the settings of an empty database of a kind."""
    made = []

    def settings(kind):
        if kind == "sqlite":
            return {}
        made.append(f"backup-{secrets.token_hex(4)}")
        return {"MOORAGE_DATABASE_URL": postgres.create_database(made[-1])}

    yield settings
    for name in made:
        postgres.drop_database(name)


@contextmanager
def deleting(url, seed):
    """Push images that nobody keeps, delete them, and have all collected, while the context lasts."""
    stop, ledger = threading.Event(), Ledger()

    def work():
        chosen = random.Random(seed)
        with httpx.Client(base_url=url, timeout=PATIENCE) as client:
            while not stop.is_set():
                known = list(ledger.manifests)
                if known:
                    name, tag = chosen.choice(known)
                    client.delete(f"/v2/{name}/manifests/{ledger.manifests.pop((name, tag))}")
                client.post("/api/v1/jobs/collection/runs", json={})

    thread = threading.Thread(target=work)
    with pushing(url, ledger, clients=2, seed=seed, lasting=True):
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def kept(ledger):
    """Return what was acknowledged by now, which a backup that begins now must have."""
    found = Ledger()
    found.blobs, found.manifests = dict(ledger.blobs), dict(ledger.manifests)
    return found


@pytest.mark.soak
@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_what_was_acknowledged_before_a_backup_is_there_after_a_restore(tmp_path, database, source, target, figure):
    env, into, rounds = {**SHORTEST, **database(source)}, database(target), scaled(40, minimum=2)
    ledger, place, data = Ledger(), tmp_path / "backups", tmp_path / "data"
    made = []
    with MoorageServer(data, workers=2, threads=8, env=env, worker=True) as server:
        with deleting(server.url, seed=100):
            for number in range(rounds):
                with pushing(server.url, ledger, clients=2, seed=number):
                    ledger.wait_for(ledger.acknowledged + 30)
                    before = kept(ledger)
                    told = command("backup", place, "--data", data, "--json", env=env)
                made.append(json.loads(told))
        assert json.loads(command("fsck", "--json", "--data", data, env=env))["errors"] == 0
    assert all(one["unreadable"] == [] for one in made)
    assert json.loads(command("backup", "verify", place, "--json", env={}))["wrong"] == []
    fresh = tmp_path / "fresh"
    done = json.loads(command("restore", place, "--data", fresh, "--json", env=into))
    assert (done["backup"], done["damaged"]) == (made[-1]["id"], [])
    assert json.loads(command("fsck", "--deep", "--json", "--data", fresh, env=into))["errors"] == 0
    before.blobs = {}  # those that no image names were collected, as their leases are short
    with MoorageServer(fresh, env=into) as server:
        figure(f"{rounds} backups: {before.summary(server.url)}; copied {[one['copied'] for one in made]}")
        with pushing(server.url, after := Ledger()):
            after.wait_for(20)
        assert not after.lost(server.url)


def test_a_backup_in_a_bucket_from_files_into_a_bucket(tmp_path, s3_gateway):
    bucket = s3_gateway.create_bucket(f"backups-{secrets.token_hex(4)}")
    at_s3 = s3_gateway.settings(bucket, "registry")
    ledger, data = Ledger(), tmp_path / "data"
    place = f"s3://{bucket}/backups"
    env = {name: value for name, value in at_s3.items() if name != "MOORAGE_STORAGE_URL"}
    with MoorageServer(data, env=env) as server:
        with pushing(server.url, ledger, length=300_000):
            ledger.wait_for(40)
        first = json.loads(command("backup", place, "--data", data, "--json", env=env))
        with pushing(server.url, ledger, seed=1):
            ledger.wait_for(ledger.acknowledged + 10)
        second = json.loads(command("backup", place, "--data", data, "--json", env=env))
    assert second["copied"] == second["blobs"] - first["blobs"]
    assert json.loads(command("backup", "verify", place, "--json", env=env))["wrong"] == []
    fresh = tmp_path / "fresh"
    done = json.loads(command("restore", place, "--data", fresh, "--json", env=at_s3))
    assert done["stored"] == second["blobs"]
    assert json.loads(command("fsck", "--deep", "--json", "--data", fresh, env=at_s3))["errors"] == 0
    # The database alone was lost: the bytes are where they were, and only read.
    again = json.loads(command("restore", place, "--data", tmp_path / "again", "--json", env=at_s3))
    assert (again["stored"], again["damaged"]) == (0, [])
    with MoorageServer(fresh, env=at_s3) as server:
        assert not ledger.lost(server.url)
    pruned = json.loads(command("backup", "prune", place, "--keep", "1", "--yes", "--json", env=env))
    assert (pruned["backups"], pruned["blobs"]) == ([first["id"]], 0)


def test_a_backup_that_is_killed_holds_nothing_and_the_next_goes_on(tmp_path, figure):
    ledger, data, place = Ledger(), tmp_path / "data", tmp_path / "backups"
    with MoorageServer(data, workers=2, env=SHORTEST) as server, pushing(server.url, ledger, length=400_000):
        ledger.wait_for(60)
        copied = lambda: len(list((place / "blobs").rglob("?" * 64)))  # noqa: E731 - a word for a word
        cuts = []
        for more in (1, 10, 25):
            argv = [sys.executable, "-m", "registry", "backup", str(place), "--data", str(data)]
            wanted = copied() + more
            child = subprocess.Popen(argv, cwd=ROOT, env=command.env(SHORTEST), stdout=subprocess.DEVNULL)
            wait_until(lambda: copied() >= wanted or child.poll() is not None, PATIENCE, "some blobs are copied")  # noqa: B023 - asked at once
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            cuts.append(copied())
        states = [one["state"] for one in json.loads(command("backup", "list", place, "--json", env={}))]
        done = json.loads(command("backup", place, "--data", data, "--json", env=SHORTEST))
        assert done["copied"] < done["blobs"]
    assert json.loads(command("backup", "verify", place, "--json", env={}))["wrong"] == []
    restored = json.loads(command("restore", place, "--data", tmp_path / "new", "--json", env={}))
    assert restored["backup"] == done["id"]
    assert json.loads(command("fsck", "--deep", "--json", "--data", tmp_path / "new", env={}))["errors"] == 0
    figure(f"killed after {cuts} blobs ({states}); the next copied {done['copied']} of {done['blobs']}")
