"""kill -9 of master and workers during pushes: what was answered with 201 is there after the next start."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.ports import PATIENCE
from tests.support.pushers import Ledger, Pusher, pushing, some_bytes
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.timeout(hang_guard(1800))]

ACCEPTED, GONE = 202, 404


def resume(client: httpx.Client, location: str, data: bytes, acknowledged: int) -> str:
    """Go on with an upload where the registry says it stands; return how that ended."""
    told = client.get(location)
    if told.status_code == GONE:
        return "gone"
    assert told.status_code == 204, told.text
    last = told.headers["Range"].partition("-")[2]
    offset = int(last) + 1 if last != "0" else 0
    assert offset >= acknowledged, f"the upload stands at {offset}, and {acknowledged} were acknowledged"
    assert offset <= len(data)
    pusher = Pusher(client, Ledger(), "fault/resumed")
    pusher.finish_late(location, data, data[offset:])
    assert client.get(f"/v2/fault/resumed/blobs/{next(iter(pusher.ledger.blobs))[1]}").content == data
    return "resumed"


def delete_one(client: httpx.Client, ledger: Ledger) -> list[str]:
    """Delete a manifest that was acknowledged; what that was is no longer in the ledger."""
    if not ledger.manifests:
        return []
    repository, tag = next(iter(ledger.manifests))
    digest = ledger.manifests.pop((repository, tag))
    assert client.delete(f"/v2/{repository}/manifests/{digest}").status_code == ACCEPTED
    return [f"/v2/{repository}/manifests/{digest}", f"/v2/{repository}/manifests/{tag}"]


def fsck(data: Path, env: dict[str, str]) -> dict[str, Any]:
    """Check all that is stored."""
    argv = [sys.executable, "-m", "registry", "fsck", "--json", "--data", str(data)]
    done = subprocess.run(argv, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


@pytest.fixture(params=["sqlite and files", "postgresql and s3"])
def services(request) -> dict[str, str]:
    """Give the settings of where database and blobs are."""
    if request.param == "sqlite and files":
        return {}
    postgres, gateway = request.getfixturevalue("postgres"), request.getfixturevalue("s3_gateway")
    bucket = gateway.create_bucket("kill")
    return {"MOORAGE_DATABASE_URL": postgres.create_database("kill"), **gateway.settings(bucket)}


def test_kill_9_during_pushes_loses_nothing_that_was_acknowledged(tmp_path, services, ledger, figure):
    rounds = scaled(50, minimum=4)
    ends, deleted = [], []
    settings = {"MOORAGE_UPLOAD_DEADLINE": "1", **services}
    with MoorageServer(tmp_path / "data", workers=2, threads=8, env=settings, worker=True) as server:
        for turn in range(rounds):
            half, data = 100_000, some_bytes(-turn - 1, 200_000)
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
                opened = Pusher(client, ledger, "fault/resumed")
                location = opened.patch(opened.begin(), data[:half])
                deleted += delete_one(client, ledger)
            with pushing(server.url, ledger, seed=turn):
                # Each round is cut somewhere else.
                ledger.wait_for(ledger.acknowledged + 5 + 7 * turn % 31)
                server.kill9()
            server.start()
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
                ends.append(resume(client, location, data, half))
        kept = ledger.summary(server.url)
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
            resurrected = [path for path in deleted if client.get(path).status_code != GONE]
        checked = fsck(tmp_path / "data", settings)
    cut = f"uploads cut: {ends.count('resumed')} resumed, {ends.count('gone')} gone"
    figure(f"kill -9 of server and worker, {rounds} rounds: {kept}; deleted {len(deleted)}, resurrected 0; {cut}")
    assert resurrected == []
    assert checked["errors"] == 0, checked
    assert ends == ["resumed"] * rounds
    assert ledger.acknowledged >= 5 * rounds
    assert set(ledger.refused) <= {0}, ledger.texts
