"""The one place that renders errors: as OCI distribution-spec 1.1 says ("Error Codes"), below /api/v1 as problems."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from registry.blueprints._challenges import challenges
from registry.blueprints._http import Answer, drain_body
from registry.blueprints._problems import PAGES, PROBLEM, is_ours, problem_of
from registry.errors import (
    EndpointUnknown,
    InputInvalid,
    NameUnknown,
    RegistryError,
    RequestInvalid,
    Unauthorized,
    Unsupported,
)

_log = logging.getLogger(__name__)
_CLIENT_ERROR, _NOT_FOUND, _METHOD_NOT_ALLOWED, _SERVER_ERROR = 400, 404, 405, 500


class InternalError(RegistryError):
    """A defect of the registry; the log has its cause."""

    summary = "internal error"


class PageRefused(RegistryError):
    """A page of a plugin refused the request."""

    summary = "the request was refused"


def register(app: Flask, pages: Mapping[str, str]) -> None:
    """Answer every error of ``app`` in its API's form, and what Flask answers by itself without a type.

    ``pages`` names the plugin of each blueprint that is not ours: its errors are problems, too.
    """
    app.response_class = Answer
    app.extensions[PAGES] = pages
    app.register_error_handler(RegistryError, render)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def render(error: RegistryError, status: int | None = None) -> Response:
    """Return the error's answer: ``{"errors": [{"code", "message", "detail"}]}`` or a problem."""
    status = status or error.http_status
    if status == _SERVER_ERROR:
        _log.error("%s %s: %s", request.method, request.path, error, exc_info=error)
    drain_body()
    if is_ours(request.path) or _plugin() is not None:
        response = Answer(problem_of(error, status), status=status, content_type=PROBLEM)
    else:
        body = {"errors": [{"code": error.code, "message": error.message, "detail": error.detail}]}
        response = Answer(json.dumps(body), status=status, content_type="application/json")
    for name, value in error.headers.items():
        response.headers[name] = value
    if isinstance(error, Unauthorized):
        for challenge in challenges(error):
            response.headers.add("WWW-Authenticate", challenge)
    return response


def _plugin() -> str | None:
    """Return the plugin whose blueprint handles this request, if one does."""
    pages: Mapping[str, str] = current_app.extensions[PAGES]
    return pages.get(request.blueprint or "")


def _http(error: HTTPException) -> Response | HTTPException:
    if isinstance(error, RequestRedirect):
        return error
    if error.code == _SERVER_ERROR:  # what went wrong behind a view, where Flask asks no other handler
        cause = getattr(error, "original_exception", None) or error
        return render(cause) if isinstance(cause, RegistryError) else _unexpected(cause)
    if _plugin() is not None:
        return _refusal_of_plugin(error)
    shown = {"path": request.path[:256]}
    if error.code == _NOT_FOUND:
        return render(_no_endpoint(shown))
    shown["method"] = request.method
    if error.code == _METHOD_NOT_ALLOWED:
        refusal = Unsupported(detail=shown)
        refusal.headers.update({"Allow": ", ".join(getattr(error, "valid_methods", None) or ())})
        return render(refusal)
    refused = InputInvalid if is_ours(request.path) else RequestInvalid
    status = error.code if error.code is not None and error.code < _SERVER_ERROR else None
    return render(refused(error.description, detail=shown), status)


def _refusal_of_plugin(error: HTTPException) -> Response | HTTPException:
    """Return what a page of a plugin refuses or redirects, as it says it."""
    status = error.code or _SERVER_ERROR
    if error.response is not None or status < _CLIENT_ERROR:
        return error
    drain_body()
    refusal = Answer(problem_of(PageRefused(error.description), status), status, content_type=PROBLEM)
    for name, value in error.get_headers():
        if name.lower() != "content-type":
            refusal.headers[name] = value
    return refusal


def _no_endpoint(shown: dict[str, str]) -> RegistryError:
    if is_ours(request.path):
        return EndpointUnknown(detail=shown)
    if request.path.startswith("/v2/"):
        return NameUnknown("no such endpoint: neither the path's name nor its resource is known", detail=shown)
    return NameUnknown("no such endpoint", detail=shown)


def _unexpected(error: Exception) -> Response:
    owner = f" in plugin {plugin}" if (plugin := _plugin()) else ""
    _log.error("%s %s failed%s", request.method, request.path, owner, exc_info=error)
    return render(InternalError())
