"""Something that listens on loopback: a receiver that answers as it is told, or a canary that nobody may touch."""

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Answer = Callable[[socket.socket], None]

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def read_request(connection: socket.socket) -> bytes:
    """Return one request: its head, and as much body as the head announces."""
    read = b""
    while b"\r\n\r\n" not in read:
        piece = connection.recv(65536)
        if not piece:
            return read
        read += piece
    head, _, body = read.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    wanted = int(lengths[0]) if lengths else 0
    while len(body) < wanted:
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body


def answering(raw: bytes) -> Answer:
    """Make an answer of these bytes, given to whole requests."""

    def answer(connection: socket.socket) -> None:
        if read_request(connection):
            connection.sendall(raw)

    return answer


class Listener:
    """Accepts connections while the context lasts; `hits` counts them, and `answer` deals with each in a thread.

    `stopped` is set at the end: an answer that takes its time waits for that instead of sleeping.
    """

    def __init__(self, answer: Answer | None = None, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        """Bind to a port of 127.0.0.1, a free one unless given; without an ``answer``, whole requests get a 204."""
        self.answer = answer or answering(OK)
        self.hits = 0
        self.stopped = threading.Event()
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        """Start to accept."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop accepting."""
        self.stopped.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Its address, as a URL with a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hook"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.hits += 1
            threading.Thread(target=self._deal, args=(connection,), daemon=True).start()

    def _deal(self, connection: socket.socket) -> None:
        try:
            with connection:
                if self._tls is None:
                    self.answer(connection)
                    return
                with self._tls.wrap_socket(connection, server_side=True) as secured:
                    self.answer(secured)
        except OSError:
            pass  # the client went away, as clients do
