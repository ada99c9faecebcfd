"""Tag listing (distribution-spec, "Listing Tags")."""

from __future__ import annotations

from flask import Blueprint, Response

from registry.blueprints._asking import actor
from registry.blueprints._http import page_size, repository, services, text_argument
from registry.blueprints._tags import tags_answer

blueprint = Blueprint("tags", __name__, url_prefix="/v2")


@blueprint.get("/<path:name>/tags/list")
def list_tags(name: str) -> Response:
    """List a repository's tags."""
    where, limit = repository(name), page_size()
    page = services().tags.list(actor(), where, limit, text_argument("last"))
    return tags_answer(where.value, page.items, limit, more=page.more)
