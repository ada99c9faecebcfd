"""Free ports, and waiting for something to become true."""

import socket
import time
from collections.abc import Callable


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

    This is the only place where tests wait by the clock: a process tells nobody when it is ready.
    """
    end = time.monotonic() + deadline
    pause = 0.005
    while not predicate():
        if time.monotonic() > end:
            raise DeadlineExceededError(f"not within {deadline:g} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def wait_port(port: int, deadline: float = 15) -> None:
    """Wait until a loopback port accepts connections."""
    wait_until(lambda: is_open(port), deadline, f"port {port} accepts connections")
