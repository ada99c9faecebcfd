"""Rows of what only some servers know: what a tag stood for, and putting it back."""

from functools import partial

from benchmarks.contestant import Contestant, Sample

_OK = 200
_EMPTY = b"{}"
_JSON = {"Content-Type": "application/json"}


def _history(repository: str) -> str:
    return f"/api/v1/repositories/{repository}/-/history"


def history_page(subject: Contestant, _: int) -> Sample | None:
    """Get a page of the history of a repository with thousands of tags; None where there is none."""
    repository, sizes = subject.ensure_tags(), subject.sizes
    target = f"{_history(repository)}?limit={sizes.page}"
    if subject.client.call("GET", target).status != _OK:
        return None
    return subject.latency([partial(subject.client.call, "GET", target, _OK)] * sizes.pages)


def restore(subject: Contestant, lap: int) -> Sample | None:
    """Delete a tag and put it back, one after the other; None where a tag cannot be put back."""
    repository = f"tags/back{lap}"
    subject.fill_tags(repository, subject.sizes.single_images)
    if subject.client.call("GET", _history(repository)).status != _OK:
        return None
    tags = [f"tag-{number:06d}" for number in range(subject.sizes.single_images)]
    for tag in tags:
        subject.client.call("DELETE", f"/v2/{repository}/manifests/{tag}", 202)
    return subject.latency(
        partial(
            subject.client.call,
            "POST",
            f"/api/v1/repositories/{repository}/-/tags/{tag}/restore",
            _OK,
            headers=_JSON,
            body=_EMPTY,
        )
        for tag in tags
    )
