"""What the API can do, for programs: its OpenAPI document."""

from __future__ import annotations

import json

from flask import Blueprint, Response, current_app

from registry.blueprints._http import Answer
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._openapi import document
from registry.blueprints.api._operations import operations_of

blueprint = Blueprint("api_openapi", __name__, url_prefix=PREFIX)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Describe every operation of this server."""
    return Answer(json.dumps(document(operations_of(current_app))), content_type="application/json")
