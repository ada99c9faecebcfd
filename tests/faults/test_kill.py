"""kill -9 of master and workers during pushes: what was answered with 201 is there after the next start."""

import httpx
import pytest

from tests.support.ports import PATIENCE
from tests.support.pushers import Ledger, Pusher, pushing, some_bytes
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.timeout(hang_guard(1800))]

GONE = 404


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
    ends = []
    settings = {"MOORAGE_UPLOAD_DEADLINE": "1", **services}
    with MoorageServer(tmp_path / "data", workers=2, threads=8, env=settings) as server:
        for turn in range(rounds):
            half, data = 100_000, some_bytes(-turn - 1, 200_000)
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
                opened = Pusher(client, ledger, "fault/resumed")
                location = opened.patch(opened.begin(), data[:half])
            with pushing(server.url, ledger, seed=turn):
                # Each round is cut somewhere else.
                ledger.wait_for(ledger.acknowledged + 5 + 7 * turn % 31)
                server.kill9()
            server.start()
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
                ends.append(resume(client, location, data, half))
        kept = ledger.summary(server.url)
    figure(f"kill -9, {rounds} rounds: {kept}; uploads cut: {ends.count('resumed')} resumed, {ends.count('gone')} gone")
    assert ends == ["resumed"] * rounds
    assert ledger.acknowledged >= 5 * rounds
    assert set(ledger.refused) <= {0}, ledger.texts
