"""Host names to addresses, in bounded time."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Sequence

from registry.egress.addresses import Address
from registry.hooks.egress import EgressFailed

Resolver = Callable[[str, float], Sequence[Address]]
"""Takes a host name and the seconds it may take; returns at least one address, or raises ``EgressFailed``."""

_AT_ONCE = 32


class SystemResolver:
    """Asks the system, in a thread: the system's own answer cannot be given up on."""

    def __init__(self) -> None:
        """Start with nobody asking."""
        self._free = threading.BoundedSemaphore(_AT_ONCE)

    def __call__(self, host: str, seconds: float) -> Sequence[Address]:
        """Return every address of a host, in the system's order, each once."""
        if not self._free.acquire(timeout=seconds):
            raise EgressFailed(f"{host} could not be resolved: {_AT_ONCE} other names are still waited for")
        answers: queue.SimpleQueue[Sequence[Address] | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._ask, args=(host, answers), name="resolve", daemon=True).start()
        try:
            answer = answers.get(timeout=seconds)
        except queue.Empty:
            raise EgressFailed(f"{host} was not resolved within {seconds:.3g} s") from None
        if isinstance(answer, Exception):
            reason = getattr(answer, "strerror", None) or answer
            raise EgressFailed(f"{host} could not be resolved: {reason}") from answer
        return answer

    def _ask(self, host: str, answers: queue.SimpleQueue[Sequence[Address] | Exception]) -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found)))
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it is
            answers.put(error)
        finally:
            self._free.release()
