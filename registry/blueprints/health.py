"""Health: alive without touching anything, ready once the parts answer."""

from __future__ import annotations

import json

from flask import Blueprint, Response

from registry.blueprints._http import Answer, services

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> Response:
    """Tell that the process answers; never touches database or storage."""
    return Answer('{"status": "alive"}', content_type="application/json")


@blueprint.get("/ready")
def ready() -> Response:
    """Tell whether requests can be served, and if not, which part is the cause."""
    checks = services().readiness()
    good = all(check.ok for check in checks)
    body = {
        "status": "ready" if good else "not ready",
        "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
    }
    response = Answer(json.dumps(body), status=200 if good else 503, content_type="application/json")
    if not good:
        response.headers["Retry-After"] = "5"
    return response
