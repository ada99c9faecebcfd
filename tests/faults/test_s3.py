"""S3 that fails on its way: what was answered with 201 is there, and what the failures left goes with the next sweep."""

import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from registry.access.actors import Actor
from registry.app import create_app
from registry.settings import load_settings
from tests.support.ports import PATIENCE, wait_until
from tests.support.pushers import pushing
from tests.support.s3_proxy import s3_proxy
from tests.support.scale import hang_guard, scaled
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.timeout(hang_guard(1800))]

IN_PARTS, SHORT = 9 << 20, 20_000
MONTH_MS = 30 * 86_400_000
COUNTED = ("PutObject", "UploadPart", "CompleteMultipartUpload", "CopyObject")


def settle(data, settings):
    """Do what jobs do when a month has gone by: unfinished uploads expire, and what no row knows is removed."""
    now = time.time_ns() // 1_000_000 + MONTH_MS
    app = create_app(load_settings({"data": str(data)}, settings), clock=lambda: now)
    services = app.extensions["moorage"]
    context = SimpleNamespace(arguments={}, actor=None, progress=lambda *_: None, stopping=lambda: False)
    jobs = {one.job.name: one.job for one in services.runs.schedules(Actor())}
    for name in ("collection", "leftovers"):
        jobs[name].run(context)
    left = [*services.storage.list_uploads()]
    with services.database.read() as connection:
        rows = {key for (key,) in connection.exec_driver_sql("SELECT storage_key FROM blob")}
    stored = {one.key for one in services.storage.list_keys() if one.complete}
    services.database.close_idle()
    return left, stored - rows, rows - stored


@pytest.mark.parametrize("kind", ["500", "503", "reset", "slow", "lost", "cut"])
def test_pushes_over_a_store_that_fails_lose_nothing(tmp_path, s3_gateway, ledger, figure, kind):
    bucket = s3_gateway.create_bucket(f"faults-{kind}")
    with s3_proxy(s3_gateway.port) as proxy, ExitStack() as stack:
        settings = {
            **s3_gateway.settings(bucket),
            "MOORAGE_S3_ENDPOINT_URL": proxy.endpoint_url,
            "MOORAGE_UPLOAD_DEADLINE": "1",
            "MOORAGE_LEASE_SECONDS": str(90 * 86_400),
            "MOORAGE_GRACE_SECONDS": str(180 * 86_400),
        }
        server = stack.enter_context(MoorageServer(tmp_path / "data", workers=2, threads=8, env=settings))
        for call in COUNTED:
            proxy.fail(call, kind, every=2)
        proxy.fail("*", kind, times=1_000_000, every=5)
        with (
            pushing(server.url, ledger, clients=2, length=SHORT, lasting=True),
            pushing(server.url, ledger, clients=2, length=IN_PARTS, seed=1000, lasting=True),
        ):
            ledger.wait_for(scaled(200, minimum=20))
            wait_until(lambda: all(proxy.struck[f"{kind} {one}"] for one in COUNTED), PATIENCE, "each call has failed")
            proxy.fail("*", kind, times=scaled(1000, minimum=60))  # now each call, until the budget is gone
            ledger.wait_for(ledger.acknowledged + scaled(100, minimum=10))
        proxy.heal()
        kept = ledger.summary(server.url)
        server.stop()
        left, unknown, lost = settle(tmp_path / "data", settings)
    struck = sum(proxy.struck.values())
    figure(f"S3 calls with {kind}: {struck} of {sum(proxy.calls.values())}; {kept}; left after the sweep: {len(left)}")
    assert set(ledger.refused) <= {0, 404, 409, 416, 503}, ledger.texts
    assert left == []
    assert lost == set()
    assert unknown == set()
