"""Which plugin runs in which thread of this process: for the watch, against recursion, and as breadcrumbs."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections import deque
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.hooks.guards import Tally

SLOTS = 1024
"""Threads of a process that leave breadcrumbs; those above share the last slot, and leave none that can be read."""


class Place:
    """One thread's place.

    ``running`` is what runs in it, since when (``time.perf_counter``), and how deep calls are nested: 0 for none.
    """

    __slots__ = ("__weakref__", "_freed", "ident", "index", "running")

    def __init__(self, nothing: Tally, index: int, freed: deque[int]) -> None:
        """Leave breadcrumbs in the slot ``index``, and give it back to ``freed``; ``nothing`` stands for no call."""
        self.index, self._freed = index, freed
        self.ident = threading.get_ident()
        self.running: tuple[Tally, float, int] = (nothing, 0.0, 0)

    def __del__(self) -> None:
        """Give the slot to another thread: this one ended."""
        if self.index < SLOTS - 1:
            self._freed.append(self.index)


class Places(threading.local):
    """The places of all threads; each sees :attr:`mine` as its own."""

    mine: Place

    def __init__(self, shared: Shared) -> None:
        """Make the place of this thread; Python calls this in every thread that looks."""
        self.mine = shared.place()


class Shared:
    """What the places of one process have in common."""

    def __init__(self, nothing: Tally) -> None:
        """Start with no thread, and with breadcrumbs that nobody else reads; ``nothing`` stands for no call."""
        self._nothing = nothing
        self.leave_none()
        self._free: deque[int] = deque(range(SLOTS - 1))
        self._places: deque[weakref.ref[Place]] = deque()

    def leave_none(self) -> None:
        """Leave breadcrumbs that nobody else reads."""
        self.crumbs = memoryview(bytearray(2 * SLOTS)).cast("H")

    def place(self) -> Place:
        """Return a new place for this thread."""
        try:
            index = self._free.popleft()
        except IndexError:
            index = SLOTS - 1
        place = Place(self._nothing, index, self._free)
        self._places.append(weakref.ref(place))
        return place

    def all(self) -> list[Place]:
        """Return the places of living threads."""
        found = []
        for _ in range(len(self._places)):
            reference = self._places.popleft()
            if (place := reference()) is not None:
                self._places.append(reference)
                found.append(place)
        return found


def frames_of_threads() -> dict[int, FrameType]:
    """Return what each thread runs, by its ident.

    A collection of garbage inside of that call can stop the whole process for ever (in several versions of CPython,
    gh-106883): the call holds a lock that the end of a thread's state takes.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()  # noqa: SLF001 - the only way to see what a thread runs
    finally:
        if collects:
            gc.enable()
