"""Free ports, and waiting for something to become true."""

import socket
import time
from collections.abc import Callable

PATIENCE = 100.0
"""Seconds after which what has not come is not slow: it hangs."""


class DeadlineExceededError(AssertionError):
    """What was waited for did not come."""


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Tell whether a loopback port accepts a connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def wait_until(predicate: Callable[[], bool], deadline: float, what: str) -> None:
    """Ask again and again until the predicate holds; after `deadline` seconds raise DeadlineExceededError.

    This module is the only place where tests wait by the clock: a process tells nobody when it is ready.
    """
    end = time.monotonic() + deadline
    pause = 0.005
    while not predicate():
        if time.monotonic() > end:
            raise DeadlineExceededError(f"not within {deadline:g} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def wait_for_count(
    count: Callable[[], int], wanted: int, what: str, *, moved: Callable[[], int] | None = None, stall: float = PATIENCE
) -> None:
    """Wait until `count` reaches `wanted`, however long it takes, as long as it goes on.

    Raises DeadlineExceededError once `moved` (the count itself unless given) has stood still for `stall` seconds:
    a slow machine is late, and a broken one stops.
    """
    seen: int | None = None

    def reached_or_moved() -> bool:
        now = (moved or count)()
        return count() >= wanted or now != seen

    while count() < wanted:
        seen = (moved or count)()
        wait_until(reached_or_moved, stall, f"{what} ({count()} of {wanted})")


def wait_port(port: int, deadline: float = PATIENCE) -> None:
    """Wait until a loopback port accepts connections."""
    wait_until(lambda: is_open(port), deadline, f"port {port} accepts connections")
