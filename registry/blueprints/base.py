"""The version check and the catalog (distribution-spec, "Determining Support"; Docker v2, "Catalog")."""

from __future__ import annotations

import json

from flask import Blueprint, Response

from registry.access.actors import Kind
from registry.blueprints._asking import actor
from registry.blueprints._http import Answer, link_next, page_size, services, text_argument
from registry.errors import Unauthorized

blueprint = Blueprint("base", __name__, url_prefix="/v2")


@blueprint.get("/", strict_slashes=False)
def version() -> Response:
    """Tell that the v2 API is served here, and to whom credentials are needed how to get in."""
    if services().access.authenticator is not None and actor().kind is Kind.ANONYMOUS and not actor().token:
        raise Unauthorized
    return Answer(
        "{}",
        content_type="application/json",
        headers={"Docker-Distribution-API-Version": "registry/2.0"},
    )


@blueprint.get("/_catalog")
def catalog() -> Response:
    """List repositories."""
    limit = page_size()
    page = services().repositories.catalog(actor(), limit, text_argument("last"))
    response = Answer(json.dumps({"repositories": list(page.items)}), content_type="application/json")
    if page.more and page.items:
        return link_next(response, "/v2/_catalog", {"n": str(limit), "last": page.items[-1]})
    return response
