"""Reading no faster than somebody wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_NAP = 1.0


class Throttle:
    """Lets several threads together read so many bytes a second, on average."""

    def __init__(self, bytes_a_second: int | None, sleep: Callable[[float], object] = time.sleep) -> None:
        """Allow ``bytes_a_second``; None allows any number."""
        self._bytes_a_second = bytes_a_second
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, count: int, stopping: Callable[[], bool] = bool) -> None:
        """Wait until ``count`` more bytes may be read; ``stopping`` ends the wait within a second."""
        if self._bytes_a_second is None:
            return
        with self._lock:
            now = time.monotonic()
            wait = max(self._free_at - now, 0.0)
            self._free_at = now + wait + count / self._bytes_a_second
        while wait > 0 and not stopping():
            self._sleep(min(wait, _NAP))
            wait -= _NAP
