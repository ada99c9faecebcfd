"""Threads that are started when work waits, and end when there has been none for a while."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

IDLE_SECONDS = 20.0


class Pool(Generic[T]):
    """Runs ``work(item)`` for every submitted item, oldest first, on at most ``limit`` threads.

    ``work`` must not raise. The threads are daemons: a process that ends waits for none of them.
    """

    def __init__(self, name: str, limit: int, work: Callable[[T], None], idle_seconds: float = IDLE_SECONDS) -> None:
        """Start no thread yet."""
        self._name, self._limit, self._work, self._idle_seconds = name, limit, work, idle_seconds
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._threads = 0
        self._idle = 0

    @property
    def busy(self) -> bool:
        """Whether items wait for a thread."""
        return bool(self._waiting)

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return self._threads

    def submit(self, item: T) -> None:
        """Run ``work(item)`` as soon as a thread is free."""
        with self._changed:
            self._waiting.append(item)
            if len(self._waiting) <= self._idle:
                self._changed.notify()
            elif self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            self._work(item[0])

    def _next(self) -> tuple[T] | None:
        """Wait for an item; None where none came for so long that this thread should end."""
        with self._changed:
            while not self._waiting:
                self._idle += 1
                told = self._changed.wait(self._idle_seconds)
                self._idle -= 1
                if not told and not self._waiting:
                    self._threads -= 1
                    return None
            return (self._waiting.popleft(),)
