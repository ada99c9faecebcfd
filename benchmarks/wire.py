"""A keep-alive HTTP/1.1 client of few instructions: what the client spends, the server lacks.

A general client costs more CPU a request than the fastest of the servers measured here, and both share
the machine. This one sends prepared bytes and reads no more of an answer than its length.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_HEADER_END = b"\r\n\r\n"
_READ = 1 << 16
_DISCARD = 1 << 20
# A body up to this size leaves in one packet train with its header.
_JOINED = 1 << 16


class WireError(RuntimeError):
    """A server closed a connection midway or answered what nobody can measure."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with its body read; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def location(self) -> str:
        """The path and query of the Location header, whether it came absolute or relative."""
        parts = urlsplit(self.headers["location"])
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


def encode(
    port: int, method: str, target: str, headers: Mapping[str, str] | None = None, length: int | None = None
) -> bytes:
    """Return the bytes of a request's line and header; `length` is the body's."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port}", "User-Agent: moorage-benchmarks"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def connect(port: int) -> socket.socket:
    """Return a blocking loopback connection that sends at once."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=120)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Without a timeout each call is one system call; with one Python polls before it.
    connection.settimeout(None)
    return connection


class Client:
    """One kept-alive connection, used by one thread, request after request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._buffer.clear()

    def call(
        self,
        method: str,
        target: str,
        *expected: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview | None = None,
    ) -> Response:
        """Send a request and read its answer; any status but the expected ones raises WireError."""
        status, fields = self._exchange(method, target, headers, body)
        content = b"" if method == "HEAD" or status == 204 else self._body(fields)
        if fields.get("connection", "").lower() == "close":
            self.close()
        if expected and status not in expected:
            raise WireError(f"{method} {target}: {status} {content[:300].decode(errors='replace')}")
        return Response(status, fields, content)

    def download(self, target: str) -> int:
        """GET a large body, let the kernel drop it uncopied, and return its length."""
        status, fields = self._exchange("GET", target, None, None)
        if status != 200 or "content-length" not in fields:
            raise WireError(f"GET {target}: {status} without a body of known length")
        length = int(fields["content-length"])
        left = length - len(self._buffer)
        self._buffer.clear()
        room = bytearray(_DISCARD)
        while left:
            # On TCP, MSG_TRUNC takes bytes off the queue without a copy (tcp(7)).
            count = self._live().recv_into(room, min(left, _DISCARD), socket.MSG_TRUNC)
            if not count:
                raise WireError(f"GET {target}: closed {left} bytes before the end")
            left -= count
        return length

    def _exchange(
        self, method: str, target: str, headers: Mapping[str, str] | None, body: bytes | memoryview | None
    ) -> tuple[int, dict[str, str]]:
        """Send a request and read the answer's header, on a new connection where the kept one had ended."""
        length = len(body) if body is not None else (0 if method in {"POST", "PUT", "PATCH"} else None)
        head = encode(self._port, method, target, headers, length)
        while True:
            kept = self._socket is not None
            try:
                self._send(head, body)
                return self._header()
            except (ConnectionError, WireError):
                self.close()
                if not kept:
                    raise

    def _send(self, head: bytes, body: bytes | memoryview | None) -> None:
        if self._socket is None:
            self._socket = connect(self._port)
        if body is not None and len(body) <= _JOINED:
            self._socket.sendall(head + bytes(body))
            return
        self._socket.sendall(head)
        if body is not None:
            self._socket.sendall(body)

    def _live(self) -> socket.socket:
        if self._socket is None:
            raise WireError("there is no connection")
        return self._socket

    def _fill(self) -> None:
        data = self._live().recv(_READ)
        if not data:
            raise WireError("closed before the answer was complete")
        self._buffer += data

    def _take_until(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            self._fill()
        taken = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return taken

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _header(self) -> tuple[int, dict[str, str]]:
        first, *rest = self._take_until(_HEADER_END).decode("latin-1").split("\r\n")
        fields = {}
        for line in rest:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        return int(first.split(" ", 2)[1]), fields

    def _body(self, fields: Mapping[str, str]) -> bytes:
        if fields.get("transfer-encoding", "").lower() != "chunked":
            return self._take(int(fields["content-length"]))
        pieces = []
        while size := int(self._take_until(b"\r\n").partition(b";")[0], 16):
            pieces.append(self._take(size))
            self._take(2)
        self._take_until(b"\r\n")
        return b"".join(pieces)
