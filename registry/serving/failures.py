"""What a client is told of a request that never reached the app, or that the app failed on."""

from __future__ import annotations

import http
import json

from gunicorn.http import errors

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (errors.LimitRequestLine, 414),
    (errors.LimitRequestHeaders, 431),
    (errors.ExpectationFailed, 417),
    (errors.UnsupportedTransferCoding, 400),
    (errors.InvalidResponseHeader, 500),
    (errors.InvalidResponseHeaderName, 500),
    (errors.ConfigurationProblem, 500),
    (errors.ParseException, 400),
)
_SERVERS_FAULT = 500


def failure_of(error: BaseException) -> tuple[int, str]:
    """Return the status and the reason that the client is told; 500 tells nothing of the cause."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status, str(error)[:200] if status < _SERVERS_FAULT else "internal error"
    return _SERVERS_FAULT, "internal error"


def answer_of(status: int, reason: str) -> bytes:
    """Return a whole response with an error of the distribution specification's form; the connection ends."""
    code = "UNKNOWN" if status >= _SERVERS_FAULT else "UNSUPPORTED"
    body = json.dumps({"errors": [{"code": code, "message": reason, "detail": None}]}).encode("ascii")
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nServer: moorage\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
