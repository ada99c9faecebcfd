"""The one place that renders errors, in the form of OCI distribution-spec 1.1, "Error Codes"."""

from __future__ import annotations

import json
import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from registry.blueprints._http import Answer, drain_body
from registry.errors import NameUnknown, RegistryError, RequestInvalid, Unsupported

_log = logging.getLogger(__name__)
_NOT_FOUND, _METHOD_NOT_ALLOWED, _SERVER_ERROR = 404, 405, 500


class InternalError(RegistryError):
    """A defect of the registry; the log has its cause."""

    summary = "internal error"


def register(app: Flask) -> None:
    """Answer every error of ``app`` in the specification's form, and what Flask answers by itself without a type."""
    app.response_class = Answer
    app.register_error_handler(RegistryError, render)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def render(error: RegistryError) -> Response:
    """Return the error's answer: ``{"errors": [{"code", "message", "detail"}]}``."""
    if error.http_status == _SERVER_ERROR:
        _log.error("%s %s: %s", request.method, request.path, error, exc_info=error)
    drain_body()
    body = {"errors": [{"code": error.code, "message": error.message, "detail": error.detail}]}
    response = Answer(json.dumps(body), status=error.http_status, content_type="application/json")
    for name, value in error.headers.items():
        response.headers[name] = value
    return response


def _http(error: HTTPException) -> Response:
    shown = {"path": request.path[:256]}
    if error.code == _NOT_FOUND:
        return render(NameUnknown("no such endpoint", detail=shown) if not _is_v2() else _malformed(shown))
    shown["method"] = request.method
    if error.code == _METHOD_NOT_ALLOWED:
        refusal = Unsupported(detail=shown)
        refusal.headers.update({"Allow": ", ".join(getattr(error, "valid_methods", None) or ())})
        return render(refusal)
    answer = render(RequestInvalid(error.description, detail=shown))
    if error.code is not None and error.code < _SERVER_ERROR:
        answer.status_code = error.code
    return answer


def _is_v2() -> bool:
    return request.path.startswith("/v2/")


def _malformed(shown: dict[str, str]) -> RegistryError:
    return NameUnknown("no such endpoint: neither the path's name nor its resource is known", detail=shown)


def _unexpected(error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.path, exc_info=error)
    return render(InternalError())
