"""A server under measurement with what has been put into it."""

import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from benchmarks.calls import mount_request, push_blob, push_image, put_manifest, put_request, serials
from benchmarks.content import (
    EMPTY_BLOB,
    SMALL_BLOB_BYTES,
    Blob,
    Image,
    random_blob,
    referrer,
    small_image,
)
from benchmarks.pump import pump
from benchmarks.resources import Meter
from benchmarks.servers import Running
from benchmarks.sizes import Sizes
from benchmarks.wire import Client

# Clients that write at the same time where a row does not say otherwise.
WRITERS = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: the row's figure, and CPU seconds (the server's, ours) for each unit of work."""

    value: float
    server_cpu: float
    own_cpu: float


@dataclass
class Contestant:
    """A running server, and the content that rows share, put there when first asked for."""

    server: Running
    sizes: Sizes
    tagged: str = ""
    referred: tuple[str, str] | None = None
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(self.port)

    @property
    def port(self) -> int:
        """The server's port on the loopback address."""
        return self.server.port

    @cached_property
    def image(self) -> Image:
        """A small image, pushed as `bench/small:latest`."""
        image = small_image()
        push_image(self.client, "bench/small", image, "latest")
        return image

    @cached_property
    def blob(self) -> Blob:
        """A blob of 4 KiB in `bench/small`."""
        return self.pushed_blob("bench/small", SMALL_BLOB_BYTES)

    @cached_property
    def large(self) -> Blob:
        """A large blob in `bench/large`."""
        return self.pushed_blob("bench/large", self.sizes.large_mib << 20)

    @cached_property
    def medium(self) -> Blob:
        """A blob of middle size in `bench/large`."""
        return self.pushed_blob("bench/large", self.sizes.medium_mib << 20)

    def pushed_blob(self, repository: str, size: int) -> Blob:
        """Return a new blob that the repository holds."""
        blob = random_blob(size)
        push_blob(self.client, repository, blob, patch=False)
        return blob

    def fill_tags(self, repository: str, count: int) -> None:
        """Push an image and give it so many tags."""
        image = small_image()
        push_image(self.client, repository, image, "latest")
        puts = [put_request(self.port, repository, image.manifest, tag) for tag in serials("tag-", count)]
        pump(self.port, puts, 201, connections=WRITERS)

    def ensure_tags(self) -> str:
        """Return a repository with the full count of tags, filling one where no row has."""
        if not self.tagged:
            self.fill_tags("tags/fill", self.sizes.tags)
            self.tagged = "tags/fill"
        return self.tagged

    def fill_referrers(self, repository: str, count: int) -> str:
        """Push an image and so many manifests about it; return its digest."""
        about = self.subject(repository)
        manifests = (referrer(about, serial) for serial in range(count))
        puts = (put_request(self.port, repository, manifest, manifest.digest) for manifest in manifests)
        pump(self.port, puts, 201, connections=WRITERS)
        return about.digest

    def ensure_referrers(self) -> tuple[str, str]:
        """Return a repository and the digest in it that has the full count of referrers."""
        if self.referred is None:
            repository = "referrers/fill"
            self.referred = (repository, self.fill_referrers(repository, self.sizes.referrers))
        return self.referred

    def fill_repositories(self, count: int) -> None:
        """Make repositories `catalog/r...` with one tagged manifest each, its blobs mounted."""
        image, port = self.image, self.port
        repositories = serials("catalog/r", count)
        for blob in image.blobs:
            mounts = (mount_request(port, name, blob.digest, "bench/small") for name in repositories)
            pump(port, mounts, 201, connections=WRITERS)
        puts = (put_request(port, name, image.manifest, "latest") for name in repositories)
        pump(port, puts, 201, connections=WRITERS)

    @cached_property
    def catalog(self) -> int:
        """The number of repositories named `catalog/r...`."""
        self.fill_repositories(self.sizes.repositories)
        return self.sizes.repositories

    def subject(self, repository: str) -> Blob:
        """Push an image and the empty blob that referrers are made of; return the image's manifest."""
        image = small_image()
        push_image(self.client, repository, image, "latest")
        push_blob(self.client, repository, EMPTY_BLOB, patch=False)
        put_manifest(self.client, repository, image.manifest, image.manifest.digest)
        return image.manifest

    def rate(self, work: Callable[[], float]) -> Sample:
        """Measure work that returns how much it did, in units a second."""
        with Meter(self.server.group) as meter:
            amount = work()
        return Sample(amount / meter.wall, meter.server / amount, meter.own / amount)

    def latency(self, steps: Iterable[Callable[[], object]]) -> Sample:
        """Measure steps one after the other: their median in milliseconds."""
        times = []
        with Meter(self.server.group) as meter:
            for step in steps:
                begin = time.perf_counter()
                step()
                times.append(time.perf_counter() - begin)
        return Sample(1000 * statistics.median(times), meter.server / len(times), meter.own / len(times))


def in_threads(work: Iterable[Callable[[], object]], threads: int) -> None:
    """Run the pieces of work in so many threads, and raise what one of them raises."""
    with ThreadPoolExecutor(threads) as pool:
        for result in [pool.submit(piece) for piece in work]:
            result.result()
