"""One request and its answer: parsing, the app, and what becomes of failures."""

from __future__ import annotations

import itertools
import secrets
import ssl
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Protocol

from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData

from registry.serving.connection import Connection
from registry.serving.failures import answer_of, failure_of
from registry.serving.messages import Body, BodyReader, Response, send_some

_DRAIN = 5.0
"""Seconds that the rest of a body which the app did not read may take to arrive."""
_LOST = (ConnectionError, TimeoutError, ssl.SSLError)


class Host(Protocol):
    """What an exchange needs of the worker it happens in."""

    cfg: Any
    log: Any
    wsgi: Callable[..., Iterable[bytes]]
    nr: int
    max_requests: int
    alive: bool

    def is_last(self) -> bool:
        """Tell whether an answer sent now is the last one of its connection."""


class Exchange:
    """Serves requests for one worker; used by all its threads."""

    def __init__(self, host: Host) -> None:
        """Serve requests of ``host``."""
        self._host = host
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def serve(self, connection: Connection) -> bool:
        """Answer the request whose head is in hand; return whether the connection goes on."""
        req = None
        try:
            req = connection.next_request()
            return self._respond(req, connection) and connection.end_request(time.monotonic() + _DRAIN)
        except (StopIteration, NoMoreData, *_LOST) as error:
            self._host.log.debug("connection ended: %r", error)
        except Exception as error:  # noqa: BLE001 - whatever the app or the parser raised, the client gets an answer
            self._fail(req, connection, error)
        return False

    def _respond(self, req: Any, connection: Connection) -> bool:  # noqa: ANN401 - gunicorn's request
        """Run the app; return whether the client may send another request."""
        started, host = time.perf_counter(), self._host
        req.body = Body(BodyReader(req))
        resp, environ = wsgi.create(
            req,
            connection.sock,
            connection.client,
            connection.server,
            host.cfg,
            Response,
            (connection, host.is_last),
        )
        environ["wsgi.multithread"] = True
        environ["moorage.request_id"] = f"{self._prefix}{next(self._numbers):08x}"
        environ["moorage.stopping"] = lambda: not host.alive
        host.nr += 1
        if host.nr >= host.max_requests:
            host.alive = False
        try:
            _write(resp, host.wsgi(environ, resp.start_response))
        except _LOST:
            raise
        except Exception as error:
            if resp.begun:
                host.log.exception("the answer to %s %s broke off", req.method, req.uri)
                raise StopIteration from error
            resp.status = "500 Internal Server Error"
            raise
        finally:
            host.log.access(resp, req, environ, timedelta(seconds=time.perf_counter() - started))
        return resp.complete and not resp.should_close()

    def _fail(self, req: Any, connection: Connection, error: BaseException) -> None:  # noqa: ANN401 - gunicorn's request
        """Answer a request that the parser or the app failed on, in the specification's form."""
        status, reason = failure_of(error)
        client = connection.client
        address = client[0] if isinstance(client, tuple) and client else ""
        if status >= 500:  # noqa: PLR2004 - the server's own faults
            uri = getattr(req, "uri", None)
            self._host.log.error("request from %s failed: %r", address, uri, exc_info=error)
        else:
            self._host.log.info("refused a request from %s: %s", address, error)
        try:
            send_some(connection.sock, answer_of(status, reason))
        except OSError:
            self._host.log.debug("a refusal did not reach %s", address)


def _write(resp: Response, answer: Iterable[bytes]) -> None:
    try:
        if isinstance(answer, wsgi.FileWrapper):
            resp.write_file(answer)
        else:
            for piece in answer:
                resp.write(piece)
        resp.close()
    finally:
        if hasattr(answer, "close"):
            answer.close()
