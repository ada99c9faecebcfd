"""Tables for people."""

from __future__ import annotations

import re
from itertools import chain

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDEST = 10_000
_DIGEST = re.compile(r"\b(sha(?:256|512)[:-][0-9a-f]{12})[0-9a-f]{52,}")
_SHORT = "\N{HORIZONTAL ELLIPSIS}"
_TIME = re.compile(r"\b(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)")


def show(columns: tuple[str, ...], rows: list[tuple[object, ...]], *, whole: bool = False) -> None:
    """Print a table; where no terminal gives the width, no line is folded, so that grep finds what is in one.

    On a terminal that is too narrow for it, digests are cut short and times may break before the hour; a table that
    must be ``whole`` is left for the terminal to wrap.
    """
    cells = [tuple("" if cell is None else str(cell) for cell in row) for row in rows]
    console = Console()
    if console.is_terminal and not whole:
        table = _table(columns, cells)
        needed = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
        if needed > console.width:
            table = _table(columns, [tuple(map(_short, row)) for row in cells])
            table.padding = (0, 1, 0, 0)
        console.print(table)
        if needed > console.width and any(map(_DIGEST.search, chain.from_iterable(cells))):
            click.echo("digests are cut short: --json has them whole", err=True)
        return
    console.width = _WIDEST
    with console.capture() as printed:
        console.print(_table(columns, cells))
    for line in printed.get().splitlines():
        click.echo(line.rstrip())


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        is_short = any(_SHORT in row[number] for row in rows)  # what is short already is shrunk last
        table.add_column(column, overflow="fold", no_wrap=is_short)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _short(cell: str) -> str:
    return _TIME.sub(r"\1 \2", _DIGEST.sub(rf"\1{_SHORT}", cell))
