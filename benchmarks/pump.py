"""Many small requests over many kept-alive connections, from one thread.

One epoll loop with prepared requests spends 20 to 65 µs CPU a request: the less, the more of them wait at
once. Against the fastest servers that is up to a quarter of what they spend themselves, on cores they share,
so their figures come out somewhat low; the table of CPU time has both.
"""

import contextlib
import select
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from benchmarks.wire import WireError, connect

_READ = 1 << 18
_LENGTH = b"\r\ncontent-length:"
# A server may end a kept connection between two requests, but not each one that is opened.
_FUTILE = 3


@dataclass(frozen=True, slots=True)
class Pumped:
    """How many requests were answered, and in how many seconds."""

    count: int
    seconds: float


@dataclass(slots=True)
class _Lane:
    """A connection and the request that it waits for."""

    socket: socket.socket
    request: bytes = b""
    partial: bytes = b""
    reopened: int = 0


@dataclass
class _Pump:
    """The loop's state."""

    port: int
    requests: Iterator[bytes]
    status: bytes
    bodiless: bool
    lanes: dict[int, _Lane] = field(default_factory=dict)
    poller: select.epoll = field(default_factory=select.epoll)
    answered: int = 0

    def open(self, lane: _Lane | None = None) -> _Lane:
        """Open a connection, or another one for a lane whose connection the server ended."""
        connection = connect(self.port)
        if lane is None:
            lane = _Lane(connection)
        else:
            self.shut(lane)
            lane.socket, lane.partial = connection, b""
        self.lanes[connection.fileno()] = lane
        self.poller.register(connection.fileno(), select.EPOLLIN)
        return lane

    def shut(self, lane: _Lane) -> None:
        """Close a lane's connection."""
        number = lane.socket.fileno()
        self.poller.unregister(number)
        del self.lanes[number]
        lane.socket.close()

    def advance(self, lane: _Lane, *, go_on: bool) -> None:
        """Send the lane's next request, or close it where there is none."""
        request = next(self.requests, None) if go_on else None
        if request is None:
            self.shut(lane)
            return
        lane.request = request
        try:
            lane.socket.sendall(request)
        except ConnectionError:
            self.resume(lane)

    def resume(self, lane: _Lane) -> None:
        """Send the request again on a new connection: the server had ended the kept one."""
        lane.reopened += 1
        if lane.reopened > _FUTILE:
            raise WireError(f"closed without an answer, again and again: {lane.request[:120]!r}")
        self.open(lane)
        lane.socket.sendall(lane.request)

    def read(self, lane: _Lane) -> bool:
        """Read what has come, and tell whether the lane's answer is complete."""
        try:
            data = lane.socket.recv(_READ)
        except ConnectionError:
            data = b""
        if not data:
            if lane.partial:
                raise WireError(f"closed midway: {lane.request[:120]!r}")
            self.resume(lane)
            return False
        if lane.partial:
            data = lane.partial + data
        end = answer_length(data, bodiless=self.bodiless)
        if not end or len(data) < end:
            lane.partial = data
            return False
        if data[9:12] != self.status:
            raise WireError(f"{lane.request[:120]!r} was answered {data[:400]!r}")
        lane.partial = b""
        lane.reopened = 0
        self.answered += 1
        return True


def answer_length(data: bytes, *, bodiless: bool) -> int:
    """Return the length of the answer that data begins with, or 0 while its header is incomplete."""
    mark = data.find(b"\r\n\r\n")
    if mark < 0:
        return 0
    if bodiless:
        return mark + 4
    header = data[:mark].lower()
    at = header.find(_LENGTH)
    if at < 0:
        raise WireError(f"an answer without Content-Length: {data[:400]!r}")
    value = header[at + len(_LENGTH) :].partition(b"\r\n")[0]
    return mark + 4 + int(value)


def pump(
    port: int,
    requests: Iterable[bytes],
    status: int,
    *,
    bodiless: bool = False,
    connections: int = 16,
    seconds: float = 3600,
) -> Pumped:
    """Send the requests over so many connections, until they or the seconds are used up.

    Each answer must have the status; `bodiless` says that they come without a body (HEAD).
    """
    loop = _Pump(port, iter(requests), str(status).encode(), bodiless)
    with contextlib.closing(loop.poller):
        lanes = [loop.open() for _ in range(connections)]
        begin = time.perf_counter()
        end = begin + seconds
        for lane in lanes:
            loop.advance(lane, go_on=True)
        while loop.lanes:
            ready = loop.poller.poll()
            go_on = time.perf_counter() < end
            for number, _ in ready:
                lane = loop.lanes[number]
                if loop.read(lane):
                    loop.advance(lane, go_on=go_on)
        return Pumped(loop.answered, time.perf_counter() - begin)
