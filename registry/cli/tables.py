"""Tables for people."""

from __future__ import annotations

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDEST = 10_000


def show(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Print a table; where no terminal gives the width, no line is folded, so that grep finds what is in one."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    console = Console()
    if console.is_terminal:
        console.print(table)
        return
    console.width = _WIDEST
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())
