"""One client connection, and what its next request's head says about where it should run."""

from __future__ import annotations

import re
import socket
import ssl
from enum import Enum
from typing import Any

from gunicorn import http
from gunicorn.http import errors

from registry.errors import RegistryError

HEAD_LIMIT = 64 * 1024
"""The most bytes of a head that are gathered, and so the longest head that is served."""
_END = b"\r\n\r\n"
_CLIENT_HELLO = b"\x16\x03"
"""What a client begins with that speaks TLS (RFC 8446, 5.1)."""
_BODY_OR_EXPECT = re.compile(rb"\r\n(?:content-length|transfer-encoding|expect)[ \t]*:", re.IGNORECASE)
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError, TimeoutError)


class SpeaksTls(errors.ParseException):  # type: ignore[misc] # gunicorn has no types
    """The client speaks TLS where there is none; many try that first, and then without."""

    def __str__(self) -> str:
        """Say what there is instead."""
        return "it speaks TLS, and this port plain HTTP"


class Kind(Enum):
    """Which threads a request runs on."""

    QUICK = "quick"
    """A read of the v2 API with a short answer: waits for no client and for no writer."""
    WRITE = "write"
    DOWNLOAD = "download"


class Arrival(Enum):
    """What reading from a connection came to."""

    COMPLETE = "complete"
    """A whole head is in hand."""
    PARTIAL = "partial"
    NOTHING = "nothing"
    CLOSED = "closed"
    TOO_LARGE = "too large"


class Connection:
    """A connection of a client; used by one thread at a time.

    ``head`` holds what arrived of the next request; ``unsent`` the rest of an answer that the socket did not take
    at once; ``deadline`` is in seconds of the monotonic clock. The socket never blocks for longer than its
    timeout, which is 0 but while a body is transferred.
    """

    __slots__ = ("_handshake", "client", "closing", "deadline", "head", "kind", "parser", "server", "sock", "unsent")

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any, tls: ssl.SSLContext | None) -> None:  # noqa: ANN401 - gunicorn's configuration and socket addresses
        """Take over ``sock``; with ``tls``, shake hands first."""
        sock.settimeout(0)
        self._handshake = tls is not None
        if tls is not None:
            sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.sock = sock
        self.client, self.server = client, server
        self.parser: Any = http.get_parser(cfg, sock, client)
        self.head = bytearray()
        self.kind = Kind.QUICK
        self.unsent = bytearray()
        self.deadline = 0.0
        self.closing = False

    @property
    def between_requests(self) -> bool:
        """Whether the last request was answered and read to its end."""
        return self.parser.mesg is None

    def has_head(self) -> bool:
        """Tell whether the parser can decide: the head is whole, or it never will be (a bare line feed)."""
        return _END in self.head or self.head.count(b"\n") != self.head.count(b"\r\n")

    def receive(self) -> Arrival:
        """Read what is there of the next head; never blocks."""
        try:
            if self._handshake:
                self.sock.do_handshake()  # type: ignore[attr-defined] # only TLS sockets shake hands
                self._handshake = False
            data = self.sock.recv(HEAD_LIMIT)
        except WOULD_BLOCK:
            return Arrival.NOTHING
        except OSError:
            return Arrival.CLOSED
        if not data:
            return Arrival.CLOSED
        self.head += data
        if self.has_head():
            return Arrival.COMPLETE
        return Arrival.PARTIAL if len(self.head) < HEAD_LIMIT else Arrival.TOO_LARGE

    def next_request(self) -> Any:  # noqa: ANN401 - gunicorn's request, which has no public type
        """Parse the request whose head is in hand; raises gunicorn's errors for a malformed one, :class:`SpeaksTls`."""
        if self.head.startswith(_CLIENT_HELLO):
            raise SpeaksTls
        self.parser.unreader.unread(bytes(self.head))
        self.head.clear()
        req = next(self.parser)
        _refuse_doubtful(req)
        return req

    def end_request(self, drain_until: float) -> bool:
        """Skip what the app left of the body; return False where the next request cannot be told from it."""
        try:
            if not self.parser.finish_body(deadline=drain_until):
                return False
        except (RegistryError, OSError):
            return False
        self.parser.mesg = None
        self.head += self.parser.unreader.take_buffered()
        return True

    def discard(self) -> bool:
        """Throw away what a client still sends after the last answer; return False once it has closed."""
        try:
            return bool(self.sock.recv(HEAD_LIMIT))
        except WOULD_BLOCK:
            return True
        except OSError:
            return False


def _refuse_doubtful(req: Any) -> None:  # noqa: ANN401 - gunicorn's request, which has no public type
    """Refuse what gunicorn lets pass and the standard does not (RFC 9112, 3.2 and 6.1)."""
    has_host = False
    for name, value in req.headers:
        if name == "HOST":
            has_host = True
        elif name == "TRANSFER-ENCODING" and value.strip().lower() != "chunked":
            raise errors.UnsupportedTransferCoding(value)
    if not has_host and req.version >= (1, 1):
        raise errors.InvalidHeader("HOST")


def kind_of(data: bytes | bytearray) -> Kind:
    """Tell which threads a request runs on, from the bytes that start with its head.

    What is not recognized as quick is not quick: nobody shall make the few threads of quick requests wait by
    spelling a request unusually.
    """
    end = data.find(_END)
    head = bytes(data[: end + 2])
    line = head[: head.find(b"\r\n")]
    reads = line.startswith((b"GET ", b"HEAD "))
    if end < 0 or not reads or _BODY_OR_EXPECT.search(head):
        return Kind.WRITE
    if b" /v2/" in line and b"%" not in line and (line.startswith(b"HEAD ") or b"/blobs/" not in line):
        return Kind.QUICK
    return Kind.DOWNLOAD
