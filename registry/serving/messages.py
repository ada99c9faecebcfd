"""Responses and request bodies over gunicorn's own: fewer system calls, deadlines, and errors with a meaning."""

from __future__ import annotations

import contextlib
import io
import os
import socket
from collections.abc import Callable
from typing import Any

from gunicorn.http import wsgi
from gunicorn.http.body import Body as GunicornBody
from gunicorn.http.errors import NoMoreData, ParseException

from registry.errors import RequestInvalid
from registry.serving.connection import WOULD_BLOCK, Connection

SERVER = "moorage"
_MORE_FOLLOWS = getattr(socket, "MSG_MORE", 0)
_SKIPPED = 32 * 1024
"""The most bytes of an unread body that are skipped to keep the connection; gunicorn gives up at twice as many."""
_UNKNOWN = 1 << 62
_HIGHEST_UNSENT = 8 * 1024 * 1024


class BodyTimeout(RequestInvalid):
    """The client stopped sending its request's body (RFC 9110, 408)."""

    http_status, summary = 408, "the request's body did not arrive in time"


class Response(wsgi.Response):  # type: ignore[misc] # gunicorn has no types
    """A response whose head leaves together with the first piece of its body.

    On threads of quick requests the socket never blocks: what it does not take waits in ``connection.unsent``.
    """

    def __init__(
        self,
        req: Any,  # noqa: ANN401 - gunicorn's request, which has no public type
        sock: socket.socket,
        cfg: Any,  # noqa: ANN401 - gunicorn's configuration
        connection: Connection,
        is_last: Callable[[], bool],
    ) -> None:
        """Answer ``req`` on ``connection``; ``is_last`` is asked when the answer starts."""
        super().__init__(req, sock, cfg)
        self.version = SERVER
        self.sent: int
        self.headers_sent: bool
        self._connection, self._is_last = connection, is_last
        self._head = b""

    @property
    def begun(self) -> bool:
        """Whether bytes of the answer may have left, so that no other answer can be given."""
        return self.headers_sent and not self._head

    @property
    def complete(self) -> bool:
        """Whether as many bytes followed as the head announced."""
        return self._omits_body or self.response_length is None or self.sent == self.response_length

    def send_headers(self) -> None:
        """Make the head ready; it leaves with what comes next."""
        if not self.headers_sent:
            if self._is_last() or not self.req.body.ends_soon():
                self.force_close()
            lines = self.default_headers() + [f"{name}: {value}\r\n" for name, value in self.headers]
            self._head = ("".join(lines) + "\r\n").encode("latin-1")
            self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        framed = b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data
        head, self._head = self._head, b""
        self._send(head + framed if head else framed)

    def close(self) -> None:
        """Send what is left, and the end of a chunked body."""
        self.send_headers()
        head, self._head = self._head, b""
        if rest := head + (b"0\r\n\r\n" if self.chunked else b""):
            self._send(rest)

    def _send(self, data: bytes) -> None:
        unsent = self._connection.unsent
        if not unsent:
            data = data[send_some(self.sock, data) :]
        unsent += data
        if len(unsent) > _HIGHEST_UNSENT:
            raise TimeoutError("the client does not read its answer")

    def sendfile(self, respiter: Any) -> bool:  # noqa: ANN401 - a file wrapper, of whichever file
        """Let the kernel send a local file; False where it cannot."""
        if self.sock.gettimeout() == 0 or self.cfg.is_ssl or self.chunked or self.response_length is None:
            return False
        try:
            offset = os.lseek(respiter.filelike.fileno(), 0, os.SEEK_CUR)
        except (AttributeError, OSError, io.UnsupportedOperation):
            return False
        self.send_headers()
        head, self._head = self._head, b""
        length = 0 if self._omits_body else self.response_length
        self.sock.sendall(head, _MORE_FOLLOWS if length else 0)
        if length:
            self.sent = self.sock.sendfile(respiter.filelike, offset, length)
        return True


def send_some(sock: socket.socket, data: bytes | bytearray) -> int:
    """Send as much as the socket takes within its timeout between two pieces; return how many bytes that was.

    Raises :class:`TimeoutError` for a client that takes nothing for so long, but on a socket without a timeout.
    """
    view, sent = memoryview(data), 0
    waits = sock.gettimeout() != 0
    while sent < len(view):
        try:
            sent += sock.send(view[sent:])
        except WOULD_BLOCK:
            if waits:
                raise
            break
    return sent


class BodyReader:
    """Stands between gunicorn's body and its reader: counts, and turns what goes wrong into answers.

    A body that ends early is told from one that ends: the app never takes half a body for a whole one.
    """

    def __init__(self, req: Any) -> None:  # noqa: ANN401 - gunicorn's request, which has no public type
        """Watch the body of ``req``, whose attribute ``received`` will be the number of bytes read so far."""
        self._request, self._reader = req, req.body.reader
        self._missing: int | None = getattr(self._reader, "length", None)
        self._ended = False
        req.received = 0

    @property
    def left(self) -> int:
        """How many bytes are still to be read; of a chunked body that has not ended, more than anybody has."""
        if self._missing is not None:
            return self._missing
        return 0 if self._ended else _UNKNOWN

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes; raises :class:`BodyTimeout` or :class:`RequestInvalid`."""
        try:
            data = self._reader.read(size) if self._missing is None else self._arrived(size)
        except WOULD_BLOCK as error:
            self._request.force_close()
            raise BodyTimeout from error
        except (ParseException, NoMoreData, ConnectionError) as error:
            self._request.force_close()
            reason = "is framed wrongly" if isinstance(error, ParseException) else "ended early"
            raise RequestInvalid(f"the request's body {reason}", detail={"received": self._request.received}) from error
        self._request.received += len(data)
        self._ended = not data
        return data

    def _arrived(self, size: int) -> bytes:
        """Return what is there of a body of known length, straight from the socket: large bodies are copied once."""
        size = min(size, self._missing or 0)
        if size == 0:
            return b""
        unreader = self._reader.unreader
        data: bytes = unreader.take_buffered()
        if data:
            unreader.unread(data[size:])
            data = data[:size]
        else:
            data = unreader.sock.recv(size)
        if not data:
            raise NoMoreData
        self._missing = self._reader.length = self._reader.length - len(data)
        return data


class Body(GunicornBody):  # type: ignore[misc] # gunicorn has no types
    """A request's body that can be read as it arrives."""

    def read1(self, size: int) -> bytes:
        """Return up to ``size`` bytes with at most one read of the socket, as :meth:`io.BufferedReader.read1` does."""
        held: int = self.buf.tell()
        data: bytes = self.read(min(size, held)) if held else self._read_reader(size)
        return data

    def ends_soon(self) -> bool:
        """Tell whether what the app left can be skipped; a chunked rest is read to learn that."""
        if self.reader.left == _UNKNOWN:
            with contextlib.suppress(RequestInvalid):
                self.read(_SKIPPED)
        return bool(self.reader.left <= _SKIPPED)
