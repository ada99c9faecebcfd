"""Collection beside a pull load: how fast blobs are freed, and what pulls lose by it.

``python -m benchmarks.collection`` fills a registry with images, deletes them, and pulls another one while the
server's own worker collects. What pulls cost otherwise is measured just before and just after.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.calls import blob_request, manifest_request, pull_image, push_image
from benchmarks.content import LAYERS, Image, small_image
from benchmarks.contestant import in_threads
from benchmarks.pump import pump
from benchmarks.wire import Client
from tests.support.ports import wait_until
from tests.support.server import MoorageServer

MOST_LOST = 0.20
"""The share of the pull rate that collection may take."""
_PULLED, _DEAD = "bench/pulled", "bench/dead"
_GRACE_SECONDS = 60
"""So long after its deletion nothing is collected: enough to delete all, and to measure pulls meanwhile.

The blobs follow their manifests after as long again.
"""
_SOON = {
    "MOORAGE_LEASE_SECONDS": "5",
    "MOORAGE_GRACE_SECONDS": str(_GRACE_SECONDS),
    "MOORAGE_RECOVERY_WINDOW": str(_GRACE_SECONDS),
}
_SLICE_SECONDS = 0.5
_IDLE_SLICES = 10
_PULLS = 5
_CLIENTS = 4


class _Serving(MoorageServer):
    """Moorage as `moorage serve` starts it, with its worker."""

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "registry", "serve", "--listen", self.host, "--data", str(self.data)]


@dataclass
class Pulls:
    """Samples of pulls: requests a second under load, and the seconds of one whole pull by a single client."""

    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The mean rate of all slices."""
        return statistics.fmean(self.rates)

    @property
    def latency_ms(self) -> float:
        """The median pull in milliseconds."""
        return 1000 * statistics.median(self.latencies)

    def sample(self, port: int, image: Image) -> None:
        """Add one slice of load and a few single pulls."""
        requests = [manifest_request(port, "GET", _PULLED, "latest")]
        requests += [blob_request(port, "GET", _PULLED, blob.digest) for blob in image.blobs]
        found = pump(port, itertools.cycle(requests), 200, seconds=_SLICE_SECONDS)
        self.rates.append(found.count / found.seconds)
        with Client(port) as client:
            for _ in range(_PULLS):
                begin = time.perf_counter()
                pull_image(client, _PULLED, image, "latest")
                self.latencies.append(time.perf_counter() - begin)


def main() -> int:
    """Measure as the command line says; return the exit status."""
    parse = argparse.ArgumentParser(prog="python -m benchmarks.collection", description=__doc__)
    parse.add_argument("--blobs", type=int, default=10_000, help="so many are freed (10000)")
    parse.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where the data go (/var/tmp)")
    parse.add_argument("--check", action="store_true", help="exit with 1 where the target is missed")
    options = parse.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="moorage-bench-", dir=options.directory) as folder,
        _Serving(Path(folder) / "data", env=_SOON) as server,
    ):
        lost = _measure(server, options.blobs)
    return 1 if options.check and lost > MOST_LOST else 0


def _measure(server: MoorageServer, blobs: int) -> float:
    """Print what collection does and takes; return the share of the pull rate that it took."""
    image = small_image()
    with Client(server.port) as client:
        push_image(client, _PULLED, image, "latest")
    _fill_and_delete(server.port, blobs)
    idle, beside = Pulls(), Pulls()
    for _ in range(_IDLE_SLICES):
        idle.sample(server.port, image)
    wait_until(lambda: _left(server.port) < blobs, 3 * _GRACE_SECONDS, "collection begins")
    begin = time.perf_counter()
    while _left(server.port):
        beside.sample(server.port, image)
    took = time.perf_counter() - begin
    for _ in range(_IDLE_SLICES):
        idle.sample(server.port, image)
    lost = 1 - beside.rate / idle.rate
    print(f"{blobs:,} blobs freed in {took:.1f} s: {blobs / took:,.0f} a second")
    print(f"pull requests a second: {idle.rate:,.0f} without, {beside.rate:,.0f} beside it: {lost:.1%} lost")
    print(f"one pull p50, ms: {idle.latency_ms:.2f} without, {beside.latency_ms:.2f} beside it")
    return lost


def _fill_and_delete(port: int, blobs: int) -> None:
    images = [small_image() for _ in range(-(-blobs // (LAYERS + 1)))]

    def work(number: int) -> None:
        with Client(port) as client:
            for image in images[number::_CLIENTS]:
                push_image(client, _DEAD, image, image.manifest.digest)
            for image in images[number::_CLIENTS]:
                client.call("DELETE", f"/v2/{_DEAD}/manifests/{image.manifest.digest}", 202)

    in_threads((partial(work, number) for number in range(_CLIENTS)), _CLIENTS)


def _left(port: int) -> int:
    """Return how many blobs the repository still holds, and bytes wait for their removal."""
    with Client(port) as client:
        usage = json.loads(client.call("GET", f"/api/v1/repositories/{_DEAD}/-/usage", 200).body)
        status = json.loads(client.call("GET", "/api/v1/collection", 200).body)
    return int(usage["blobs"]) + int(status["deletions"])


if __name__ == "__main__":
    sys.exit(main())
