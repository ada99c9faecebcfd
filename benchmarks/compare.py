"""The comparison: each row, round after round, on one server after the other."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contestant import Contestant
from benchmarks.resources import resident_bytes
from benchmarks.results import Results, RowResult
from benchmarks.rows import Row
from benchmarks.servers import start_all
from benchmarks.sizes import Sizes


def compare(
    folder: Path,
    servers: list[str],
    rows: Sequence[Row],
    rounds: int,
    sizes: Sizes,
    against: str | None = None,
) -> Results:
    """Start the servers, measure the rows (A B C, A B C, ...), and return what came out.

    All servers run all the time, and one of them works: what disturbs the machine for a while then
    disturbs every one alike. With `against`, Moorage as it was at that commit is one of them.
    """
    with contextlib.ExitStack() as stack:
        contestants = [Contestant(server, sizes) for server in start_all(stack, folder, servers, against)]
        results = Results([contestant.server.name for contestant in contestants], against)
        for row in rows:
            results.rows.append(_measure(row, contestants, rounds, against))
        for contestant in contestants:
            contestant.client.close()
            results.memory[contestant.server.name] = resident_bytes(contestant.server.group)
        return results


def _measure(row: Row, contestants: Sequence[Contestant], rounds: int, against: str | None) -> RowResult:
    result = RowResult(row, against)
    for lap in range(rounds):
        for contestant in contestants:
            name = contestant.server.name
            _say(f"{row.name}: round {lap + 1} of {rounds}, {name}")
            sample = row.measure(contestant, lap)
            if sample is not None:
                result.samples.setdefault(name, []).append(sample)
    return result


def _say(text: str) -> None:
    """Show what is going on, where somebody looks on."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
