"""Sharing out connections among the workers of one server.

All workers wait for one listening socket, and the first to wake takes what is there: a burst of connections then
lies on one process while the others are idle. So each tells the others how many it has, in shared memory, and who
has more than another holds back for a moment.
"""

from __future__ import annotations

import mmap

_SLOTS = 1024
_ABSENT = -1


class Balance:
    """The number of connections of each worker; made before the fork."""

    def __init__(self) -> None:
        """Start with no worker."""
        self._counts = memoryview(mmap.mmap(-1, 4 * _SLOTS)).cast("i")
        for slot in range(_SLOTS):
            self._counts[slot] = _ABSENT

    def tell(self, worker: int, connections: int) -> None:
        """Note how many connections the worker of this number has."""
        self._counts[worker % _SLOTS] = connections

    def leave(self, worker: int) -> None:
        """Forget a worker that ended."""
        self._counts[worker % _SLOTS] = _ABSENT

    def is_heavier(self, worker: int) -> bool:
        """Tell whether this worker has more connections than another one."""
        own = self._counts[worker % _SLOTS]
        # Workers are numbered upwards, so those alive are among the newest.
        return any(_ABSENT < self._counts[other % _SLOTS] < own for other in range(max(0, worker - 64), worker + 64))
