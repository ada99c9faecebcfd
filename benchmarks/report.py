"""Results as tables for people and as JSON for programs."""

import os
import platform
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.growth import LIMIT, GrowthResult
from benchmarks.results import Results, RowResult
from benchmarks.servers import MOORAGE
from benchmarks.sizes import Sizes


def number(value: float | None) -> str:
    """Return a figure with about three digits that count."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def verdict(met: bool | None) -> Text:  # noqa: FBT001 - a verdict has three values, and this one shows it
    """Return a verdict in words and colour."""
    if met is None:
        return Text("no peer", style="dim")
    return Text("met", style="green") if met else Text("missed", style="red")


def print_results(console: Console, results: Results, sizes: Sizes, rounds: int) -> None:
    """Print the comparison, the CPU time and the memory."""
    peers = [name for name in results.servers if name != MOORAGE]
    console.print(_comparison(results, peers, sizes, rounds))
    console.print(_cpu(results, sizes))
    memory = ", ".join(f"{name} {number(results.memory[name] / 1e6)}" for name in results.servers)
    console.print(f"Resident memory afterwards (summed PSS), MB: {memory}")
    judged = [result for result in results.rows if result.met() is not None]
    missed = results.missed()
    console.print(f"{len(judged) - len(missed)} of {len(judged)} targets met")
    if missed:
        console.print(f"missed: {', '.join(missed)}")


def _comparison(results: Results, peers: list[str], sizes: Sizes, rounds: int) -> Table:
    table = Table(
        title=f"Moorage beside {results.against or 'other registries'}, median of {rounds} rounds",
        caption="a ratio above 1 means that Moorage is better",
    )
    table.add_column("workload")
    table.add_column("unit")
    table.add_column(MOORAGE, justify="right", style="bold")
    for peer in peers:
        table.add_column(peer, justify="right")
        table.add_column("ratio", justify="right")
    table.add_column("to the best", justify="right")
    table.add_column("target", justify="right")
    table.add_column("verdict")
    for result in results.rows:
        cells = [result.row.heading(sizes), result.row.unit, number(result.median(MOORAGE))]
        for peer in peers:
            cells += [number(result.median(peer)), number(result.ratio(peer))]
        cells += [number(result.best_ratio()), f"{result.target}"]
        table.add_row(*cells, verdict(result.met()))
    return table


def _cpu(results: Results, sizes: Sizes) -> Table:
    table = Table(title="CPU time of the whole server, µs", caption="client: what the load generator took")
    table.add_column("workload")
    table.add_column("for each")
    for name in results.servers:
        table.add_column(name, justify="right")
    table.add_column("client", justify="right", style="dim")
    for result in results.rows:
        cells = [result.row.heading(sizes), result.row.work]
        cells += [number(result.cpu(name)) for name in results.servers]
        table.add_row(*cells, number(result.own_cpu()))
    return table


def print_growth(console: Console, results: list[GrowthResult]) -> None:
    """Print what the same requests cost in an empty and in a grown registry."""
    table = Table(
        title=f"Growth: the same requests, at most {LIMIT} times the cost",
        caption="the verdict is of the least times; where the CPU time did not grow with it, the machine was busy",
    )
    for heading in ("request", "empty, µs", "grown, µs", "ratio", "empty, µs CPU", "grown, µs CPU", "ratio"):
        table.add_column(heading, justify="left" if heading == "request" else "right")
    table.add_column("verdict")
    for result in results:
        figures = [result.empty, result.grown, result.ratio]
        figures += [result.empty_cpu, result.grown_cpu, result.cpu_ratio]
        table.add_row(result.name, *map(number, figures), verdict(result.met))
    console.print(table)


def growth_json(results: list[GrowthResult]) -> dict[str, object]:
    """Return the growth check's results as plain values."""
    return {
        result.name: {**asdict(result), "ratio": result.ratio, "cpu_ratio": result.cpu_ratio, "met": result.met}
        for result in results
    }


def results_json(results: Results, sizes: Sizes) -> dict[str, object]:
    """Return the comparison's results as plain values."""
    return {
        "rows": {result.row.name: _row_json(result, results.servers, sizes) for result in results.rows},
        "memory_bytes": results.memory,
    }


def _row_json(result: RowResult, servers: list[str], sizes: Sizes) -> dict[str, object]:
    return {
        "title": result.row.heading(sizes),
        "unit": result.row.unit,
        "work": result.row.work,
        "samples": {name: [sample.value for sample in samples] for name, samples in result.samples.items()},
        "median": {name: result.median(name) for name in servers},
        "cpu_us": {name: result.cpu(name) for name in servers},
        "client_cpu_us": result.own_cpu(),
        "ratio": {name: result.ratio(name) for name in servers if name != MOORAGE},
        "best_ratio": result.best_ratio(),
        "target": result.target,
        "met": result.met(),
    }


def machine_json() -> dict[str, object]:
    """Return what the figures depend on besides the servers."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }
