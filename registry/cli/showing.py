"""How far a long command is, shown where somebody is looking."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def shown_progress(doing: str) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what is told what is being done, how much of it is done, and of how much (0: unknown)."""
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None)
