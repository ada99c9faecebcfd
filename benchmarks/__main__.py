"""The command: measure, print, and with --check judge."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.compare import compare
from benchmarks.growth import check_growth
from benchmarks.options import parser, servers, sizes
from benchmarks.report import growth_json, machine_json, print_growth, print_results, results_json
from benchmarks.rows import chosen

# A table in a pipe or a file is as wide as it needs to be.
_PIPE_WIDTH = 160


def main() -> int:
    """Measure as the command line says; return the exit status."""
    options = parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    document: dict[str, object] = {"machine": machine_json()}
    with tempfile.TemporaryDirectory(prefix="moorage-bench-", dir=options.directory) as folder:
        if options.growth:
            missed = _growth(console, options, Path(folder), document)
        else:
            missed = _comparison(console, options, Path(folder), document)
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if options.check and missed else 0


def _growth(console: Console, options: argparse.Namespace, folder: Path, document: dict[str, object]) -> bool:
    results = check_growth(folder, options.rounds, sizes(options))
    print_growth(console, results)
    document["growth"] = growth_json(results)
    return not all(result.met for result in results)


def _comparison(console: Console, options: argparse.Namespace, folder: Path, document: dict[str, object]) -> bool:
    amounts = sizes(options)
    results = compare(folder, servers(options), chosen(options.rows), options.rounds, amounts, options.against)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    print_results(console, results, amounts, options.rounds)
    document |= results_json(results, amounts)
    return bool(results.missed())


if __name__ == "__main__":
    sys.exit(main())
