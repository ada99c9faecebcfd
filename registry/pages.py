"""Keyset pages: what every listing returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items in order; ``more`` tells whether others follow the last one."""

    items: Sequence[T]
    more: bool


def cut(items: Sequence[T], limit: int) -> Page[T]:
    """Return a page from a query that asked for one item more than ``limit``."""
    return Page(items[:limit], len(items) > limit)
