"""Connections to addresses that were checked, which end at a deadline whatever the other side does."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import httpcore

from registry.egress.addresses import Address

_PIECE = 1 << 16


class Deadline:
    """A point in time after which nothing is waited for any more."""

    def __init__(self, seconds: float) -> None:
        """Start counting."""
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self, late: type[Exception]) -> float:
        """Return the seconds that are left, or raise ``late``."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise late("the deadline is over")
        return left


class PinnedBackend(httpcore.NetworkBackend):
    """Connects to the given addresses alone, whatever host it is asked for. Good for one request."""

    def __init__(self, addresses: Sequence[Address], deadline: Deadline) -> None:
        """Take the addresses in the order in which they are tried."""
        self._addresses = addresses
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the name was resolved before: asking again could give another answer
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline is for everything together
        local_address: str | None = None,  # noqa: ARG002 - the system chooses
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - none are needed
    ) -> httpcore.NetworkStream:
        """Connect to the first address that accepts; each gets its share of the time that is left."""
        error: OSError | None = None
        for position, address in enumerate(self._addresses):
            share = self._deadline.left(httpcore.ConnectTimeout) / (len(self._addresses) - position)
            try:
                connection = socket.create_connection((str(address), port), timeout=share)
            except OSError as failure:
                error = failure
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return DeadlineStream(connection, self._deadline)
        if isinstance(error, TimeoutError):
            raise httpcore.ConnectTimeout(str(error)) from error
        raise httpcore.ConnectError(error.strerror or str(error) if error else "no address") from error


class DeadlineStream(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline: a byte now and then does not prolong it."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        """Take a connected socket."""
        self._connection = connection
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline counts
        """Return what has come, at most ``max_bytes``; nothing at the end."""
        with self._told_as(httpcore.ReadTimeout, httpcore.ReadError):
            return self._connection.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the deadline counts
        """Send everything."""
        view = memoryview(buffer)
        while view:
            with self._told_as(httpcore.WriteTimeout, httpcore.WriteError):
                view = view[self._connection.send(view[:_PIECE]) :]

    def close(self) -> None:
        """Let go of the connection, without waiting for the other side."""
        with contextlib.suppress(OSError):
            self._connection.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the deadline counts
    ) -> httpcore.NetworkStream:
        """Speak TLS from here on, with the certificate checked against the name that was asked for."""
        try:
            with self._told_as(httpcore.ConnectTimeout, httpcore.ConnectError):
                secured = ssl_context.wrap_socket(self._connection, server_hostname=server_hostname)
        except BaseException:
            self.close()
            raise
        return DeadlineStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the signature of httpcore
        """Tell what httpcore asks for: whether an idle connection is still good."""
        if info == "is_readable":
            return bool(select.select([self._connection], [], [], 0)[0])
        return self._connection if info == "socket" else None

    @contextlib.contextmanager
    def _told_as(self, late: type[Exception], failed: type[Exception]) -> Iterator[None]:
        self._connection.settimeout(self._deadline.left(late))
        try:
            yield
        except TimeoutError as error:
            raise late(str(error)) from error
        except OSError as error:  # also those of TLS
            raise failed(error.strerror or str(error)) from error
