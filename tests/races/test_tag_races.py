"""One tag and many writers: the last committed write is what it stands for, and its history has no hole."""

import itertools
import ssl
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import httpx
import pytest

from registry.errors import ManifestUnknown
from registry.testing.client import RegistryClient
from registry.testing.images import image, layer
from tests.support.ports import PATIENCE
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.timeout(hang_guard(900))]

CLIENTS, PROCESSES, IMAGES = 32, 4, 8
MADE = [image(layer({"n": str(number).encode()})) for number in range(IMAGES)]
BUSY = 503


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request, tmp_path):
    env = {}
    if request.param == "postgresql":
        env["MOORAGE_DATABASE_URL"] = request.getfixturevalue("postgres").create_database("tag_races")
    with MoorageServer(tmp_path / "data", workers=PROCESSES, threads=8, env=env) as running:
        yield running


def moment(text):
    """Return a time that can be compared: its text ends with milliseconds only where there are any."""
    return datetime.fromisoformat(text)


def history(client, tag="v1"):
    """Return all periods of a tag, oldest first."""
    found, cursor = [], {}
    while True:
        answer = client.get("/api/v1/repositories/race/tag/-/history", params={"tag": tag, "limit": 1000, **cursor})
        page = answer.json()
        found += page["items"]
        if page["next"] is None:
            return found[::-1]
        cursor = {"cursor": page["next"]}


def test_many_writers_of_one_tag(server, figure):
    writes = scaled(10_000, 256)
    shared = ssl.create_default_context()
    numbers, lock = itertools.count(), threading.Lock()
    statuses, written = Counter(), Counter()

    def write(seed):
        with httpx.Client(base_url=server.url, timeout=PATIENCE, verify=shared) as http:
            client = RegistryClient(http)
            while True:
                with lock:
                    number = next(numbers)
                if number >= writes:
                    return
                made = MADE[(seed + number) % IMAGES]
                answer = client.http.put(
                    "/v2/race/tag/manifests/v1", content=made.data, headers={"Content-Type": made.media_type}
                )
                with lock:
                    statuses[answer.status_code] += 1
                    written[made.digest] += answer.status_code == 201

    with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
        client = RegistryClient(http)
        for made in MADE:
            client.push("race/tag", made)
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(write, range(CLIENTS)))
        periods = history(http)
        present = client.digest("race/tag", "v1")
    assert set(statuses) <= {201, BUSY}
    assert sum(statuses.values()) == writes
    assert periods[-1]["until"] is None
    assert periods[-1]["digest"] == present
    for old, new in itertools.pairwise(periods):
        assert old["until"] == new["since"]
        assert old["ended"] == "moved"
        assert old["digest"] != new["digest"]
    assert len(periods) <= statuses[201]
    assert set(written) >= {period["digest"] for period in periods}
    figure(
        f"{writes} writes of one tag by {CLIENTS} clients to {PROCESSES} processes: {len(periods)} periods without gap"
        f" or overlap, the last one stands; {statuses[BUSY]} told to try again"
    )


@pytest.fixture
def expiring(tmp_path_factory, request):
    """Give a server on its own clock, and a tag that ends while others are at it."""
    with MoorageServer(tmp_path_factory.mktemp("ends") / "data", workers=2, threads=8) as running:
        yield running


def test_a_tag_that_ends_during_pulls_pushes_and_restores(expiring, figure):
    """Each of many tags lives a second; whatever is asked of it meanwhile is answered by the old or the new state."""
    ends = image(layer({"f": b"ends"}), labels={"quay.expires-after": "1s"})
    rounds, seen = scaled(200, 10), Counter()
    with httpx.Client(base_url=expiring.url, timeout=PATIENCE) as http:
        client = RegistryClient(http)
        client.push("race/tag", ends)
        for number in range(rounds):
            tag = f"t{number}"
            client.put_manifest("race/tag", ends, tag)
            while True:  # until its end is seen: no clock is waited for
                pulled = http.get(f"/v2/race/tag/manifests/{tag}")
                seen[f"pull {pulled.status_code}"] += 1
                if pulled.status_code == 404:
                    assert "expired" in pulled.text
                    break
                assert pulled.content == ends.data
            restored = http.post(f"/api/v1/repositories/race/tag/-/tags/{tag}/restore", json={})
            seen[f"restore {restored.status_code}"] += 1
            assert restored.status_code == 200, restored.text
            client.put_manifest("race/tag", ends, tag)
            periods = history(http, tag)
            for old, new in itertools.pairwise(periods):
                assert moment(old["until"]) <= moment(new["since"])
            assert moment(periods[-1]["until"]) > moment(periods[-1]["since"])
    figure(f"{rounds} tags that ended while they were pulled, restored and pushed: {dict(seen)}, 0 overlaps")


def test_a_tag_that_ends_while_it_is_restored(tmp_path):
    """The very millisecond of an end belongs to what comes after it."""
    from registry.app import create_app
    from registry.schema import upgrade
    from registry.settings import Settings
    from tests.support.direct import Direct, ManualClock

    clock = ManualClock()
    app = create_app(Settings(data=tmp_path, storage_url="memory:"), clock=clock)
    upgrade(app)
    direct = Direct(app, clock)
    direct.push(MADE[0], "v1")
    direct.push(MADE[1], "v1")
    direct.expire("v1", clock.now + 5000)
    clock.turn(ms=5000)
    with pytest.raises(ManifestUnknown):
        direct.tag("v1")
    assert direct.restore("v1", digest=MADE[0].digest).digest == MADE[0].digest
    direct.assert_sound()
    direct.services.database.close_idle()
