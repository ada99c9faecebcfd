"""Rows of lists, asked for by one client, page after page where there are several."""

import itertools
from functools import partial

from benchmarks.calls import names, pages
from benchmarks.contestant import Contestant, Sample
from benchmarks.wire import WireError


def _list_latency(subject: Contestant, target: str, key: str, least: int, times: int) -> Sample:
    """Walk a list from its first page to its last, so many times; each walk must bring `least` entries."""
    found = sum(names(page, key) for page in pages(subject.client, target))
    if found < least:
        raise WireError(f"{target}: {found} entries where {least} were put")
    walk = partial(_walk, subject, target)
    return subject.latency([walk] * times)


def _walk(subject: Contestant, target: str) -> None:
    for _ in pages(subject.client, target):
        pass


def _page_latency(subject: Contestant, targets: list[str], key: str) -> Sample:
    """Ask for one page from each of several places of a list."""
    size = subject.sizes.page
    for target in targets:
        if (found := names(subject.client.call("GET", target, 200), key)) < size:
            raise WireError(f"{target}: {found} entries where {size} were asked for")
    chosen = itertools.islice(itertools.cycle(targets), subject.sizes.pages)
    return subject.latency([partial(subject.client.call, "GET", target, 200) for target in chosen])


def tag_page(subject: Contestant, _: int) -> Sample:
    """Get a page out of thousands of tags."""
    repository, sizes = subject.ensure_tags(), subject.sizes
    places = range(0, sizes.tags - sizes.page, max(1, (sizes.tags - sizes.page) // 10))
    return _page_latency(
        subject, [f"/v2/{repository}/tags/list?n={sizes.page}&last=tag-{place:06d}" for place in places], "tags"
    )


def all_tags(subject: Contestant, _: int) -> Sample:
    """Get all of thousands of tags."""
    repository, sizes = subject.ensure_tags(), subject.sizes
    return _list_latency(subject, f"/v2/{repository}/tags/list", "tags", sizes.tags, sizes.pages)


def catalog_page(subject: Contestant, _: int) -> Sample:
    """Get a page out of hundreds of repositories."""
    count, page = subject.catalog, subject.sizes.page
    places = range(0, count - page, max(1, (count - page) // 10))
    return _page_latency(
        subject, [f"/v2/_catalog?n={page}&last=catalog/r{place:06d}" for place in places], "repositories"
    )


def referrers(subject: Contestant, _: int) -> Sample | None:
    """Get all of a thousand referrers; None where the server does not know referrers."""
    repository, digest = subject.ensure_referrers()
    target = f"/v2/{repository}/referrers/{digest}"
    if subject.client.call("GET", target).status == 404:
        return None
    return _list_latency(subject, target, "manifests", subject.sizes.referrers, subject.sizes.pages)
