"""The rows of the comparison: what is measured, in which unit, and what Moorage must reach."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import lists, lives, pushes, reads, transfers
from benchmarks.contestant import Contestant, Sample
from benchmarks.sizes import Sizes

Measure = Callable[[Contestant, int], Sample | None]

# How much of the best peer's figure is the target: as good, or for small requests that a compiled
# server answers out of memory, seven tenths of it.
EVEN = 1.0
SMALL = 0.7


@dataclass(frozen=True)
class Row:
    """A row. `title` is filled in from the sizes; `work` is what the CPU time is counted for.

    `measure` is given the contestant and the number of the round; None means that this server has no
    such thing. In the unit ms less is better, in all others more.
    """

    name: str
    title: str
    unit: str
    work: str
    measure: Measure
    target: float = EVEN

    def heading(self, sizes: Sizes) -> str:
        """Return the title with the sizes of this run."""
        return self.title.format_map(vars(sizes))

    def ratio(self, ours: float, theirs: float) -> float:
        """Return how many times as good ours is as theirs."""
        return theirs / ours if self.unit == "ms" else ours / theirs


ROWS = (
    Row("manifest-tag", "manifest GET by tag", "1/s", "request", reads.manifest_by_tag, SMALL),
    Row("manifest-digest", "manifest GET by digest", "1/s", "request", reads.manifest_by_digest, SMALL),
    Row("manifest-head", "manifest HEAD", "1/s", "request", reads.manifest_head, SMALL),
    Row("blob-head", "blob HEAD", "1/s", "request", reads.blob_head, SMALL),
    Row("blob-get", "blob GET 4 KiB", "1/s", "request", reads.blob_get, SMALL),
    Row("put", "PUT {large_mib} MiB", "MB/s", "MB", transfers.put),
    Row("patch-put", "PATCH + PUT {large_mib} MiB", "MB/s", "MB", transfers.patch_put),
    Row("get", "GET {large_mib} MiB", "MB/s", "MB", transfers.get),
    Row("four-gets", "four GETs of {medium_mib} MiB", "MB/s", "MB", transfers.four_gets),
    Row("push", "small images pushed, 4 clients", "1/s", "image", pushes.four_clients),
    Row("push-latency", "small image push p50", "ms", "image", pushes.push_latency),
    Row("push-shared", "one repository, 16 clients, images", "1/s", "image", pushes.one_repository),
    Row("pull-latency", "small image pull p50", "ms", "image", pushes.pull_latency),
    Row("tag-put", "tag PUT over {tags:,} tags", "1/s", "request", pushes.tag_rate),
    Row("tag-delete", "tag DELETE, {tags:,} tags", "1/s", "request", pushes.tag_delete_rate),
    Row("tag-page", "page of tags p50", "ms", "page", lists.tag_page),
    Row("all-tags", "all {tags:,} tags p50", "ms", "list", lists.all_tags),
    Row(
        "manifest-among-tags",
        "manifest GET among {tags:,} tags",
        "1/s",
        "request",
        reads.manifest_among_tags,
        SMALL,
    ),
    Row("catalog-page", "page of catalog p50", "ms", "page", lists.catalog_page),
    Row("referrer-put", "referrers pushed", "1/s", "request", pushes.referrer_rate),
    Row("referrers", "{referrers:,} referrers listed p50", "ms", "list", lists.referrers),
    Row("history-page", "page of history over {tags:,} tags p50", "ms", "page", lives.history_page),
    Row("restore", "tag put back p50", "ms", "tag", lives.restore),
)


def chosen(names: list[str]) -> list[Row]:
    """Return the rows of these names, all where there are none, in the table's order."""
    return [row for row in ROWS if not names or row.name in names]
