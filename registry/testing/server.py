"""A registry that others reach by HTTP, in threads of the test's own process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import httpx
from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from registry.testing.client import RegistryClient

__all__ = ["LiveServer"]

_POLL_SECONDS = 0.02


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        """Write no access log: what a test wants to know it asks."""


class _Server(ThreadedWSGIServer):
    daemon_threads = False  # so that each is waited for at the end
    request_queue_size = 128

    def __init__(self, app: Flask) -> None:
        super().__init__("127.0.0.1", 0, app, handler=_Handler)
        self._open: set[socket.socket] = set()
        self._turn = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's signature
        with self._turn:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - socketserver's signature
        with self._turn:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End connections that a client left open: their threads wait for a request."""
        with self._turn:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class LiveServer:
    """Serves ``app`` on a loopback port of its own while the context lasts; leaves no thread and no connection."""

    def __init__(self, app: Flask) -> None:
        """Listen, so that the port is known; requests are answered inside the context."""
        self.app = app
        self._server = _Server(app)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS}, name="moorage-server"
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.port

    @property
    def host(self) -> str:
        """The name that clients use in image references: address and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://{self.host}"

    @contextmanager
    def client(self) -> Iterator[RegistryClient]:
        """Give a client that speaks HTTP to this server."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as http:
            yield RegistryClient(http)
