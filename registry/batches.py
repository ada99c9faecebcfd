"""Many things, some at a time: databases take a bounded number of parameters, and transactions should be short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield ``items`` in order, in lists of at most ``size``; what comes later is not asked for before its turn."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
