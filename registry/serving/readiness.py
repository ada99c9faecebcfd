"""Waiting for sockets by many threads at once: each event goes to one of them, and to none again until asked."""

from __future__ import annotations

import select
import sys
from typing import Protocol


class Readiness(Protocol):
    """A set of descriptors, each watched once for each call of :meth:`watch`; closing one takes it out."""

    def watch(self, descriptor: int, *, new: bool) -> None:
        """Report ``descriptor`` to one waiting thread when it can be read; ``new`` if it never was in the set."""

    def wait(self, seconds: float) -> int | None:
        """Return a descriptor that can be read, or None after ``seconds``."""


if sys.platform == "linux":

    class _Epoll:
        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._flags = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT

        def watch(self, descriptor: int, *, new: bool) -> None:
            (self._epoll.register if new else self._epoll.modify)(descriptor, self._flags)

        def wait(self, seconds: float) -> int | None:
            events = self._epoll.poll(seconds, 1)
            return events[0][0] if events else None

    def make() -> Readiness:
        """Make an empty set (epoll)."""
        return _Epoll()

else:

    class _Kqueue:
        def __init__(self) -> None:
            self._kqueue = select.kqueue()

        def watch(self, descriptor: int, *, new: bool) -> None:  # noqa: ARG002 - adding again is what arms here
            event = select.kevent(descriptor, select.KQ_FILTER_READ, select.KQ_EV_ADD | select.KQ_EV_ONESHOT)
            self._kqueue.control([event], 0)

        def wait(self, seconds: float) -> int | None:
            events = self._kqueue.control(None, 1, seconds)
            return events[0].ident if events else None

    def make() -> Readiness:
        """Make an empty set (kqueue)."""
        return _Kqueue()
