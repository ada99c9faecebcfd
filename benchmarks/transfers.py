"""Rows of large blobs, in MB (10^6 bytes) a second."""

import os
from functools import partial

from benchmarks.calls import push_blob
from benchmarks.content import random_blob
from benchmarks.contestant import Contestant, Sample, in_threads
from benchmarks.wire import Client

_REPOSITORY = "bench/large"


def _upload(subject: Contestant, *, patch: bool) -> Sample:
    blob = random_blob(subject.sizes.large_mib << 20)

    def push() -> float:
        push_blob(subject.client, _REPOSITORY, blob, patch=patch)
        return len(blob.data) / 1e6

    # What the one before left to write must not be paid by the next.
    os.sync()
    return subject.rate(push)


def put(subject: Contestant, _: int) -> Sample:
    """Upload a blob in one PUT."""
    return _upload(subject, patch=False)


def patch_put(subject: Contestant, _: int) -> Sample:
    """Upload a blob in one PATCH, ended by an empty PUT."""
    return _upload(subject, patch=True)


def get(subject: Contestant, _: int) -> Sample:
    """Download a blob, several times over one connection."""
    target = f"/v2/{_REPOSITORY}/blobs/{subject.large.digest}"
    times = 4

    def pull() -> float:
        return sum(subject.client.download(target) for _ in range(times)) / 1e6

    subject.client.download(target)
    return subject.rate(pull)


def four_gets(subject: Contestant, _: int) -> Sample:
    """Download a blob over four connections at the same time, several times over each."""
    target = f"/v2/{_REPOSITORY}/blobs/{subject.medium.digest}"
    readers, times = 4, 4
    clients = [Client(subject.port) for _ in range(readers)]

    def pull(client: Client) -> None:
        for _ in range(times):
            client.download(target)

    def pull_all() -> float:
        in_threads([partial(pull, client) for client in clients], readers)
        return readers * times * len(subject.medium.data) / 1e6

    for client in clients:
        client.download(target)
    try:
        return subject.rate(pull_all)
    finally:
        for client in clients:
            client.close()
