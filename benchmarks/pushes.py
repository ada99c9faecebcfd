"""Rows of small images, pushed and pulled as clients do, and of manifests put alone."""

import os
from functools import partial

from benchmarks.calls import pull_image, push_image, put_request, serials
from benchmarks.content import referrer, small_image
from benchmarks.contestant import WRITERS, Contestant, Sample, in_threads
from benchmarks.pump import pump
from benchmarks.wire import Client, encode

_ACCEPTED = 202


def _push_rate(subject: Contestant, repositories: list[str], name: str) -> Sample:
    """Push small images with one client for each entry of the list of repositories."""
    share = -(-subject.sizes.images // len(repositories))
    images = [[small_image() for _ in range(share)] for _ in repositories]

    def push(number: int) -> None:
        with Client(subject.port) as client:
            for serial, image in enumerate(images[number]):
                push_image(client, repositories[number], image, f"{name}-{number}-{serial}")

    def push_all() -> float:
        in_threads([partial(push, number) for number in range(len(repositories))], len(repositories))
        return share * len(repositories)

    for row in images:
        for image in row:
            _ = [blob.digest for blob in image.blobs]
    os.sync()
    return subject.rate(push_all)


def four_clients(subject: Contestant, lap: int) -> Sample:
    """Push small images by four clients, each to a repository of its own."""
    return _push_rate(subject, [f"push/client{number}" for number in range(4)], f"lap{lap}")


def one_repository(subject: Contestant, lap: int) -> Sample:
    """Push small images by sixteen clients to the same repository."""
    return _push_rate(subject, ["push/shared"] * 16, f"lap{lap}")


def push_latency(subject: Contestant, lap: int) -> Sample:
    """Push small images by one client."""
    images = [small_image() for _ in range(subject.sizes.single_images)]
    os.sync()
    return subject.latency(
        partial(push_image, subject.client, "push/single", image, f"lap{lap}-{serial}")
        for serial, image in enumerate(images)
    )


def pull_latency(subject: Contestant, _: int) -> Sample:
    """Pull a small image by one client."""
    pull = partial(pull_image, subject.client, "bench/small", subject.image, "latest")
    pull()
    return subject.latency([pull] * subject.sizes.single_images)


def tag_rate(subject: Contestant, lap: int) -> Sample:
    """Put the manifest of one image under thousands of tags."""
    repository, port = f"tags/lap{lap}", subject.port
    image = small_image()
    push_image(subject.client, repository, image, "latest")
    puts = [put_request(port, repository, image.manifest, tag) for tag in serials("tag-", subject.sizes.tags)]
    os.sync()
    sample = subject.rate(lambda: pump(port, puts, 201, connections=WRITERS).count)
    subject.tagged = repository
    return sample


def tag_delete_rate(subject: Contestant, lap: int) -> Sample | None:
    """Delete thousands of tags of one image; None where the server only deletes by digest."""
    repository, port = f"tags/dead{lap}", subject.port
    subject.fill_tags(repository, subject.sizes.tags)
    if subject.client.call("DELETE", f"/v2/{repository}/manifests/latest").status != _ACCEPTED:
        return None
    deletes = [
        encode(port, "DELETE", f"/v2/{repository}/manifests/{tag}") for tag in serials("tag-", subject.sizes.tags)
    ]
    os.sync()
    return subject.rate(lambda: pump(port, deletes, _ACCEPTED, connections=WRITERS).count)


def referrer_rate(subject: Contestant, lap: int) -> Sample:
    """Put manifests about one image, by digest."""
    repository, port = f"referrers/lap{lap}", subject.port
    about = subject.subject(repository)
    manifests = [referrer(about, serial) for serial in range(subject.sizes.referrers)]
    puts = [put_request(port, repository, manifest, manifest.digest) for manifest in manifests]
    os.sync()
    sample = subject.rate(lambda: pump(port, puts, 201, connections=WRITERS).count)
    subject.referred = (repository, about.digest)
    return sample
