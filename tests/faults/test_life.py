"""Everything at once: pushes, pulls, deletions, mounts, restores, retention and collection, with the shortest leases."""

import itertools
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from registry.testing.client import RegistryClient
from registry.testing.images import Blob, artifact, image, layer
from tests.support.ports import PATIENCE, wait_until
from tests.support.processes import Child
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.timeout(hang_guard(1800))]

LEASE, CLIENTS, REPOSITORIES = 5, 8, 3
SHORTEST = {
    "MOORAGE_LEASE_SECONDS": f"{LEASE}s",
    "MOORAGE_GRACE_SECONDS": "10s",
    "MOORAGE_RECOVERY_WINDOW": "5s",
    "MOORAGE_UPLOAD_EXPIRY": "1m",
    "MOORAGE_ACCESS_LOG": "false",
}
BASE = layer({"base": b"what all images share"})
GONE, CONFLICT = 404, 409


class Life:
    """What one client does, and what it found wrong."""

    def __init__(self, url, number, events):
        self.http = httpx.Client(base_url=url, timeout=PATIENCE)
        self.client, self.random, self.number, self.events = (
            RegistryClient(self.http),
            random.Random(number),
            number,
            events,
        )
        self.serial, self.mine, self.done, self.wrong, self.slow = itertools.count(), {}, Counter(), [], 0

    def run(self):
        acts = [
            self.push,
            self.push,
            self.pull,
            self.delete_tag,
            self.delete_manifest,
            self.restore,
            self.sign,
            self.mount,
        ]
        with self.http:
            while self.events.take():
                act = self.random.choice(acts)
                try:
                    act(f"life/r{self.random.randrange(REPOSITORIES)}")
                except AssertionError as error:
                    self.wrong.append(f"{act.__name__}: {error}")
                self.done[act.__name__] += 1

    def push(self, repository):
        """Push an image of its own over the layer that all share; what was acknowledged must be taken."""
        tag = f"c{self.number}-{next(self.serial)}"
        made = image(BASE, layer({"own": tag.encode()}))
        started = time.monotonic()
        try:
            self.client.push(repository, made, tag)
        except AssertionError:
            if time.monotonic() - started < LEASE:
                raise
            self.slow += 1
            return
        self.mine[repository, tag] = made

    def pick(self, repository):
        found = [tag for where, tag in self.mine if where == repository]
        return self.random.choice(found) if found else None

    def pull(self, repository):
        """Pull what nobody else touches: all of it must be there, unless retention took the tag."""
        tag = self.pick(repository)
        if tag is None:
            return
        if not self.client.has_manifest(repository, tag):
            self.mine.pop((repository, tag))
            return
        self.client.everything(repository, self.mine[repository, tag].digest)

    def delete_tag(self, repository):
        tag = self.pick(repository)
        if tag is not None:
            self.http.delete(f"/v2/{repository}/manifests/{tag}")
            self.mine.pop((repository, tag))

    def delete_manifest(self, repository):
        tag = self.pick(repository)
        if tag is not None:
            self.http.delete(f"/v2/{repository}/manifests/{self.mine.pop((repository, tag)).digest}")

    def restore(self, repository):
        """Delete a tag and take that back at once: within the window it comes back whole."""
        tag = self.pick(repository)
        if tag is None or self.http.delete(f"/v2/{repository}/manifests/{tag}").status_code != 202:
            return
        answer = self.http.post(f"/api/v1/repositories/{repository}/-/tags/{tag}/restore", json={})
        if answer.status_code not in (200, CONFLICT, GONE):
            raise AssertionError(answer.text)
        if answer.is_success:
            self.client.everything(repository, self.mine[repository, tag].digest)
        else:
            self.mine.pop((repository, tag))

    def sign(self, repository):
        tag = self.pick(repository)
        if tag is not None and self.client.has_manifest(repository, tag):
            subject = self.mine[repository, tag]
            self.client.push(repository, artifact("application/x-sig", Blob(subject.digest.encode()), subject=subject))

    def mount(self, repository):
        """Mount the shared layer, and name it at once."""
        source = f"life/r{self.random.randrange(REPOSITORIES)}"
        self.http.post(f"/v2/{repository}/blobs/uploads/", params={"mount": BASE.digest, "from": source})
        self.push(repository)


class Events:
    """How many things are still to happen."""

    def __init__(self, count):
        self._left, self._lock = count, threading.Lock()

    def take(self):
        with self._lock:
            self._left -= 1
            return self._left >= 0


def moorage(data, env, *args):
    command = [sys.executable, "-m", "registry", *args, "--data", str(data)]
    return subprocess.run(
        command,
        env={"PATH": "/usr/bin:/bin", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE * 10,
    )


@contextmanager
def second_worker(data, env):
    argv = [sys.executable, "-m", "registry", "worker", "--data", str(data)]
    log = data.with_name("second-worker.log")
    ready = lambda: log.exists() and "the worker runs" in log.read_text()  # noqa: E731 - a word for a word
    with Child(argv=argv, log=log, ready=ready, env={"PATH": "/usr/bin:/bin", **env}, cwd=Path(__file__).parents[2]):
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    if request.param == "sqlite":
        return {}
    return {"MOORAGE_DATABASE_URL": request.getfixturevalue("postgres").create_database("life")}


def empty(data, env):
    report = json.loads(moorage(data, env, "gc", "status", "--json").stdout)
    files = [path for path in (data / "storage").rglob("*") if path.is_file()]
    return not report["queue"] and not report["deletions"] and not files


def test_life_beside_collection_loses_nothing_and_leaves_nothing(tmp_path, database, figure):
    count = scaled(100_000, minimum=400)
    data, env = tmp_path / "data", {**SHORTEST, **database}
    with MoorageServer(data, workers=2, threads=8, env=env, worker=True) as server, second_worker(data, env):
        rule = {"name": "few", "kind": "retention", "definition": {"keep": {"last": 60}}}
        assert httpx.post(f"{server.url}/api/v1/rules", json=rule).status_code == 201
        events = Events(count)
        lives = [Life(server.url, number, events) for number in range(CLIENTS)]
        threads = [threading.Thread(target=life.run) for life in lives]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            httpx.post(f"{server.url}/api/v1/jobs/retention/runs", json={"arguments": {}}, timeout=PATIENCE)
            threads[0].join(5)
        wrong = [text for life in lives for text in life.wrong]
        done = sum((life.done for life in lives), Counter())
        assert wrong == []
        checked = moorage(data, env, "fsck", "--json")
        assert json.loads(checked.stdout)["errors"] == 0, checked.stdout
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
            for number in range(REPOSITORIES):
                client.delete(f"/api/v1/repositories/life/r{number}")
        wait_until(lambda: empty(data, env), PATIENCE * 4, "everything collected")
        checked = json.loads(moorage(data, env, "fsck", "--deep", "--json").stdout)
    assert (checked["errors"], checked["checked"].get("blobs", 0), checked["checked"].get("manifests", 0)) == (0, 0, 0)
    slow = sum(life.slow for life in lives)
    figure(
        f"{sum(done.values())} events ({dict(done)}): 0 wrong, {slow} pushes longer than a lease; 0 bytes, 0 rows left"
    )
