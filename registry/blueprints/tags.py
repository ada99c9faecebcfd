"""Tag listing (distribution-spec, "Listing Tags")."""

from __future__ import annotations

import json

from flask import Blueprint, Response

from registry.blueprints._http import Answer, actor, link_next, page_size, repository, services, text_argument

blueprint = Blueprint("tags", __name__, url_prefix="/v2")


@blueprint.get("/<path:name>/tags/list")
def list_tags(name: str) -> Response:
    """List a repository's tags."""
    where, limit = repository(name), page_size()
    page = services().tags.list(actor(), where, limit, text_argument("last"))
    response = Answer(json.dumps({"name": where.value, "tags": list(page.items)}), content_type="application/json")
    if page.more and page.items:
        query = {"n": str(limit), "last": page.items[-1]}
        return link_next(response, f"/v2/{where}/tags/list", query)
    return response
