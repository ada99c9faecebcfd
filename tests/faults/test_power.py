"""The power goes during pushes. The registry's disk is then what had reached the block device, and nothing else."""

import os

import httpx
import pytest

from tests.support.faults import Disk
from tests.support.ports import PATIENCE
from tests.support.pushers import Ledger, Pusher, pushing, some_bytes
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.timeout(hang_guard(1800))]

HALF, WHOLE = 100_000, 200_000


def resume(client: httpx.Client, location: str, data: bytes) -> str:
    """Go on with an upload where the registry says it stands; return how that ended."""
    told = client.get(location)
    if told.status_code == 404:
        return "gone"
    assert told.status_code == 204, told.text
    last = int(told.headers["Range"].partition("-")[2])
    offset = last + 1 if last else 0
    assert offset in (0, HALF)
    pusher = Pusher(client, Ledger(), "fault/cut")
    pusher.finish_late(location, data, data[offset:])
    assert not pusher.ledger.lost(str(client.base_url))
    return "resumed"


def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path, ledger, figure):
    rounds = scaled(20, minimum=2)
    settings = {"MOORAGE_UPLOAD_DEADLINE": "1"}
    disk = Disk(tmp_path / "disk0", 256)
    ends = []
    for turn in range(rounds):
        data = some_bytes(-turn - 1, WHOLE)
        found = tmp_path / f"disk{turn + 1}"
        with disk.mounted(tmp_path / "mounted"), MoorageServer(tmp_path / "mounted" / "data", env=settings) as server:
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
                opened = Pusher(client, ledger, "fault/cut")
                location = opened.patch(opened.begin(), data[:HALF])
            with pushing(server.url, ledger, seed=turn):
                ledger.wait_for(ledger.acknowledged + 5 + 7 * turn % 31)
                server.kill9()
            disk, before = disk.after_power_cut(found), disk
            before.image.unlink()
        with disk.mounted(tmp_path / "mounted"), MoorageServer(tmp_path / "mounted" / "data", env=settings) as server:
            kept = ledger.summary(server.url)
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
                ends.append(resume(client, location, data))
    figure(f"{rounds} power cuts: {kept}; uploads cut: {ends.count('resumed')} resumed, {ends.count('gone')} gone")
    assert ledger.acknowledged >= 5 * rounds
    assert set(ledger.refused) <= {0}, ledger.texts


def test_the_power_cut_is_real(tmp_path):
    """What nobody synced is gone, so that the test above can fail."""
    # Any program of the machine may flush all its disks in the wrong moment, but not each time.
    assert any(what_is_left(tmp_path / f"try{number}") == {"synced": b"kept"} for number in range(5))


def what_is_left(folder):
    """Write, flush, write and rename on a disk whose power then goes; return its files."""
    folder.mkdir()
    disk = Disk(folder / "disk", 64)
    with disk.mounted(folder / "mounted") as mounted:
        with (mounted / "synced").open("wb") as file:
            file.write(b"kept")
            file.flush()
            os.fsync(file.fileno())
        (mounted / "unsynced").write_bytes(b"lost")
        (mounted / "synced").rename(mounted / "renamed")
        found = disk.after_power_cut(folder / "found")
    with found.mounted(folder / "mounted") as mounted:
        return {file.name: file.read_bytes() for file in mounted.iterdir() if file.is_file()}
