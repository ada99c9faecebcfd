"""What was measured, and what follows from it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.contestant import Sample
from benchmarks.rows import Row
from benchmarks.servers import MOORAGE

SLACK = 0.05
"""So much worse than an earlier commit a row may be."""


@dataclass
class RowResult:
    """A row's samples by server; a server without such a thing has none."""

    row: Row
    against: str | None = None
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def median(self, server: str) -> float | None:
        """Return the median of a server's figures."""
        return _median([sample.value for sample in self.samples.get(server, [])])

    def cpu(self, server: str) -> float | None:
        """Return the server's CPU time for each unit of work, in µs, the median over the rounds."""
        return _median([1e6 * sample.server_cpu for sample in self.samples.get(server, [])])

    def own_cpu(self) -> float | None:
        """Return the load generator's CPU time for each unit of work, in µs, over all servers."""
        return _median([1e6 * sample.own_cpu for samples in self.samples.values() for sample in samples])

    def ratio(self, peer: str) -> float | None:
        """Return how many times as good Moorage is as a peer."""
        ours, theirs = self.median(MOORAGE), self.median(peer)
        return self.row.ratio(ours, theirs) if ours and theirs else None

    def best_ratio(self) -> float | None:
        """Return how many times as good Moorage is as the best peer."""
        ratios = [ratio for peer in self.samples if peer != MOORAGE and (ratio := self.ratio(peer)) is not None]
        return min(ratios, default=None)

    @property
    def target(self) -> float:
        """The ratio to reach."""
        return self.row.target if self.against is None else 1 - SLACK

    def _overlaps(self, other: str) -> bool:
        """Tell whether the middle halves of both servers' rounds overlap."""
        ours, theirs = (_middle([sample.value for sample in self.samples[name]]) for name in (MOORAGE, other))
        return ours[0] <= theirs[1] and theirs[0] <= ours[1]

    def met(self) -> bool | None:
        """Tell whether the target is reached; None where there is nothing to compare with.

        Beside an earlier commit the target is its figure, less `SLACK`; what lies within the run's own
        spread is as good.
        """
        if self.against is not None:
            ratio = self.ratio(self.against)
            return None if ratio is None else ratio >= self.target or self._overlaps(self.against)
        ratio = self.best_ratio()
        return None if ratio is None else ratio >= self.target


@dataclass
class Results:
    """A whole run: the rows, and each server's memory afterwards in bytes."""

    servers: list[str]
    against: str | None = None
    rows: list[RowResult] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)

    def missed(self) -> list[str]:
        """Return the names of the rows whose target is missed."""
        return [result.row.name for result in self.rows if result.met() is False]


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and the third quartile."""
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
