"""The command line."""

import argparse
from pathlib import Path

from benchmarks.rows import ROWS
from benchmarks.servers import MOORAGE, PEERS, PLAIN
from benchmarks.sizes import Sizes

_QUICK = 0.2


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    rows = [row.name for row in ROWS]
    peers = [peer.name for peer in PEERS]
    parse = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Moorage beside other registries, in one run and on one disk. Linux only.",
        epilog=f"rows: {' '.join(rows)}",
    )
    parse.add_argument("--rows", nargs="+", choices=rows, default=[], metavar="NAME", help="only these rows")
    parse.add_argument("--rounds", type=_positive, default=3, metavar="N", help="times each is measured (3)")
    parse.add_argument("--peers", nargs="*", choices=peers, metavar="NAME", help=f"of {' '.join(peers)}; none")
    parse.add_argument("--without-moorage", action="store_true", help="measure the peers alone")
    beside = parse.add_mutually_exclusive_group()
    beside.add_argument(
        "--against", metavar="COMMIT", help="measure Moorage as it was then as well; no peers unless --peers names some"
    )
    beside.add_argument(
        "--with-noop-plugins",
        dest="against",
        action="store_const",
        const=PLAIN,
        help="give Moorage ten plugins that implement every hook and do nothing, and measure it without them as well",
    )
    size = parse.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help=f"for a look: the same as --scale {_QUICK}")
    size.add_argument("--scale", type=_scale, default=1.0, metavar="X", help="this much of each count (1)")
    parse.add_argument("--growth", action="store_true", help="check an empty against a grown Moorage instead")
    parse.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file as well")
    parse.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parse.add_argument(
        "--directory", type=Path, default=Path("/var/tmp"), help="where the data go, on a disk (/var/tmp)"
    )
    return parse


def sizes(options: argparse.Namespace) -> Sizes:
    """Return how much is measured."""
    scale = _QUICK if options.quick else options.scale
    return Sizes() if scale == 1 else Sizes.scaled(scale)


def servers(options: argparse.Namespace) -> list[str]:
    """Return the names of the servers to start."""
    peers = options.peers
    if peers is None:
        peers = [] if options.against else [peer.name for peer in PEERS]
    return [*([] if options.without_moorage else [MOORAGE]), *peers]


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _scale(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value
