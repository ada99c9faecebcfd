"""A disk that is full, and then no longer: no half-done push, no lost one, and no restart."""

from collections import Counter

import httpx
import pytest

from tests.support.faults import tmpfs
from tests.support.ports import PATIENCE
from tests.support.pushers import Pusher, some_bytes
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(600)]

MIB = 1 << 20
REFUSALS = {503, 507}


@pytest.fixture(params=["blobs", "everything"])
def small(request, tmp_path):
    """A registry whose blobs, or whose blobs and database, lie on 16 MiB; and that folder."""
    data = tmp_path / "data"
    folder = data / "storage" if request.param == "blobs" else data
    with tmpfs(folder, 16), MoorageServer(data, workers=2, threads=8, env={"MOORAGE_UPLOAD_DEADLINE": "1"}) as server:
        yield server, folder


def test_pushes_into_a_full_disk_are_refused_whole_and_go_on_once_there_is_room(small, ledger, figure):
    server, folder = small
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        pusher = Pusher(client, ledger)
        ways = len(pusher.ways())
        before = [pusher.try_one(seed, MIB // 2) for seed in range(ways)]
        assert before == [201] * ways, ledger.texts
        location = pusher.begin()
        data = some_bytes(77, 2 * MIB)
        location = pusher.patch(location, data[: MIB // 4])

        # Pushes themselves fill the disk, in the middle of a body.
        ballast = folder / "ballast"
        ballast.write_bytes(b"\0" * 4 * MIB)
        turn = ways
        while turn < 80 and len(ledger.texts) < ways:
            pusher.try_one(turn, MIB // 2)
            turn += 1
        assert ledger.refused, "16 MiB were never full"
        full = Counter(pusher.try_one(1000 + seed, MIB // 2) for seed in range(4 * ways))
        assert set(full) <= REFUSALS, ledger.texts
        assert client.patch(location, content=data[MIB // 4 :]).status_code in REFUSALS
        assert not ledger.lost(server.url), "pulls go on while the disk is full"
        assert set(ledger.refused) <= REFUSALS, ledger.texts

        ballast.unlink()
        told = client.get(location)
        assert told.status_code == 204
        assert told.headers["Range"] == f"0-{MIB // 4 - 1}"
        pusher.finish_late(location, data, data[MIB // 4 :])
        after = [pusher.try_one(2000 + seed, 20_000) for seed in range(ways)]
        assert after == [201] * ways, ledger.texts
    kept = ledger.summary(server.url)
    leftovers = list((server.data / "storage" / "uploads").iterdir())
    figure(f"{kept}; {len(leftovers)} upload files left over")
    assert len(server.worker_pids) == 2
