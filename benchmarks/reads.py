"""Rows of small requests that read: as many as the server answers to 16 connections."""

import itertools
from collections.abc import Sequence

from benchmarks.calls import blob_request, manifest_request
from benchmarks.contestant import Contestant, Sample
from benchmarks.pump import pump

_REPOSITORY = "bench/small"


def read_rate(subject: Contestant, requests: Sequence[bytes], *, head: bool = False) -> Sample:
    """Send the requests round and round for the seconds of a sample; each must be answered 200."""
    port, sizes = subject.port, subject.sizes
    pump(port, itertools.cycle(requests), 200, bodiless=head, seconds=sizes.warm_up)
    cycle = itertools.cycle(requests)
    return subject.rate(lambda: pump(port, cycle, 200, bodiless=head, seconds=sizes.seconds).count)


def manifest_by_tag(subject: Contestant, _lap: int) -> Sample:
    """GET a manifest by its tag."""
    _ = subject.image
    return read_rate(subject, [manifest_request(subject.port, "GET", _REPOSITORY, "latest")])


def manifest_by_digest(subject: Contestant, _lap: int) -> Sample:
    """GET a manifest by its digest."""
    digest = subject.image.manifest.digest
    return read_rate(subject, [manifest_request(subject.port, "GET", _REPOSITORY, digest)])


def manifest_head(subject: Contestant, _lap: int) -> Sample:
    """HEAD a manifest by its tag."""
    _ = subject.image
    return read_rate(subject, [manifest_request(subject.port, "HEAD", _REPOSITORY, "latest")], head=True)


def blob_head(subject: Contestant, _lap: int) -> Sample:
    """HEAD a blob."""
    digest = subject.blob.digest
    return read_rate(subject, [blob_request(subject.port, "HEAD", _REPOSITORY, digest)], head=True)


def blob_get(subject: Contestant, _lap: int) -> Sample:
    """GET a blob of 4 KiB."""
    return read_rate(subject, [blob_request(subject.port, "GET", _REPOSITORY, subject.blob.digest)])


def manifest_among_tags(subject: Contestant, _lap: int) -> Sample:
    """GET a manifest by each of a hundred tags out of thousands."""
    repository, sizes = subject.ensure_tags(), subject.sizes
    chosen = range(0, sizes.tags, max(1, sizes.tags // 100))
    port = subject.port
    return read_rate(subject, [manifest_request(port, "GET", repository, f"tag-{number:06d}") for number in chosen])
