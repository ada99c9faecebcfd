"""The growth check: a registry that holds much must serve the same requests as one that holds little."""

import contextlib
import itertools
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.calls import blob_request, manifest_request, push_image, put_request, serials
from benchmarks.content import Image, manifest, small_image
from benchmarks.contestant import WRITERS, Contestant, Sample
from benchmarks.pump import pump
from benchmarks.servers import moorage
from benchmarks.sizes import Sizes
from benchmarks.wire import encode

# How many times the cost in an empty registry may be.
LIMIT = 1.2
_MAIN = "growth/main"
# A ratio near one needs a finer alternation than a comparison of servers: a round is cut into so many.
_SLICES = 5
# Every registry holds so much, so that the same pages can be asked of all.
_LEAST = Sizes(tags=150, referrers=10, repositories=150, manifests=160)


@dataclass(frozen=True)
class GrowthResult:
    """A request's cost in µs, of time and of the server's CPU time, in an empty and a grown registry."""

    name: str
    empty: float
    grown: float
    empty_cpu: float
    grown_cpu: float

    @property
    def ratio(self) -> float:
        """How many times as long it takes in the grown registry."""
        return self.grown / self.empty

    @property
    def cpu_ratio(self) -> float:
        """How many times the CPU time it takes in the grown registry."""
        return self.grown_cpu / self.empty_cpu if self.empty_cpu else 1.0

    @property
    def met(self) -> bool:
        """Whether that is within the limit."""
        return self.ratio <= LIMIT


@dataclass
class _Grown:
    """A registry with its content, and the requests that are the same in all of them."""

    registry: Contestant
    image: Image
    subject: str

    def send(self, requests: list[bytes], status: int, *, bodiless: bool = False) -> Sample:
        """Send requests round and round, and return the time and CPU time of one."""
        port, sizes = self.registry.port, self.registry.sizes

        def run(seconds: float) -> float:
            cycle = itertools.cycle(requests)
            return pump(port, cycle, status, bodiless=bodiless, connections=WRITERS, seconds=seconds).count

        run(sizes.warm_up)
        sample = self.registry.rate(partial(run, sizes.seconds))
        return replace(sample, value=1e6 / sample.value)

    def get_manifest(self, method: str, reference: str) -> Sample:
        """Read the manifest of the image."""
        request = manifest_request(self.registry.port, method, _MAIN, reference)
        return self.send([request], 200, bodiless=method == "HEAD")

    def get_blob(self, method: str) -> Sample:
        """Read a layer of the image."""
        request = blob_request(self.registry.port, method, _MAIN, self.image.layers[0].digest)
        return self.send([request], 200, bodiless=method == "HEAD")

    def get_list(self, target: str) -> Sample:
        """Ask for a page of a list."""
        return self.send([encode(self.registry.port, "GET", target)], 200)

    def move_tags(self) -> Sample:
        """Move tags between two manifests."""
        others = [_other(self.image, f"moved-{serial}") for serial in range(2)]
        puts = [
            put_request(self.registry.port, _MAIN, other.manifest, tag)
            for other in others
            for tag in serials("tag-", 50)
        ]
        return self.send(puts, 201)

    def push(self) -> Sample:
        """Push new images."""
        images = [small_image() for _ in range(self.registry.sizes.single_images)]
        client = self.registry.client
        sample = self.registry.latency(
            partial(push_image, client, _MAIN, image, image.manifest.digest) for image in images
        )
        return replace(sample, value=1000 * sample.value)


_REQUESTS: dict[str, Callable[[_Grown], Sample]] = {
    "manifest GET by tag": lambda grown: grown.get_manifest("GET", "latest"),
    "manifest GET by digest": lambda grown: grown.get_manifest("GET", grown.image.manifest.digest),
    "manifest HEAD": lambda grown: grown.get_manifest("HEAD", "latest"),
    "blob HEAD": lambda grown: grown.get_blob("HEAD"),
    "blob GET": lambda grown: grown.get_blob("GET"),
    "page of tags": lambda grown: grown.get_list(f"/v2/{_MAIN}/tags/list?n=100&last=tag-000020"),
    "page of catalog": lambda grown: grown.get_list("/v2/_catalog?n=100&last=catalog/r000020"),
    "10 referrers": lambda grown: grown.get_list(f"/v2/{_MAIN}/referrers/{grown.subject}"),
    "tag PUT": _Grown.move_tags,
    "small image push": _Grown.push,
}


def _other(image: Image, note: str) -> Image:
    """Return an image of the same blobs under another manifest."""
    return replace(image, manifest=manifest(image.config, image.layers, note))


def _grow(registry: Contestant, held: Sizes) -> _Grown:
    """Fill a registry with as much as `held` says, all but the repositories in one repository."""
    image, port = small_image(), registry.port
    push_image(registry.client, _MAIN, image, "latest")
    tags = serials("tag-", held.tags)
    others = (_other(image, str(serial)).manifest for serial in range(held.manifests))
    puts = (put_request(port, _MAIN, other, tag or other.digest) for other, tag in itertools.zip_longest(others, tags))
    pump(port, puts, 201, connections=WRITERS)
    subject = registry.fill_referrers(_MAIN, _LEAST.referrers)
    if held.referrers > _LEAST.referrers:
        registry.fill_referrers(_MAIN, held.referrers)
    registry.fill_repositories(held.repositories)
    return _Grown(registry, image, subject)


def check_growth(folder: Path, rounds: int, sizes: Sizes) -> list[GrowthResult]:
    """Run an empty and a grown Moorage beside each other and compare what the same requests cost."""
    held = replace(sizes, repositories=sizes.grown_repositories)
    short = replace(
        sizes,
        seconds=sizes.seconds / _SLICES,
        warm_up=sizes.warm_up / _SLICES,
        single_images=max(2, sizes.single_images // _SLICES),
    )
    with contextlib.ExitStack() as stack:
        small, large = (Contestant(stack.enter_context(moorage(folder, name)), short) for name in ("empty", "grown"))
        registries = (_grow(small, _LEAST), _grow(large, held))
        results = []
        for name, request in _REQUESTS.items():
            laps = [[request(registry) for registry in registries] for _ in range(rounds * _SLICES)]
            results.append(_result(name, laps))
        return results


def _result(name: str, laps: list[list[Sample]]) -> GrowthResult:
    """Return the least times, as other work on the machine only adds to them, and the mean CPU times.

    The kernel counts CPU time in steps too coarse for a median or a least one.
    """
    empty, grown = (list(samples) for samples in zip(*laps, strict=True))
    times = [min(sample.value for sample in samples) for samples in (empty, grown)]
    cpus = [1e6 * statistics.fmean(sample.server_cpu for sample in samples) for samples in (empty, grown)]
    return GrowthResult(name, times[0], times[1], cpus[0], cpus[1])
