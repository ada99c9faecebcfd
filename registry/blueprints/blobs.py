"""Blobs (distribution-spec, "Pulling blobs", "Deleting Blobs")."""

from __future__ import annotations

from flask import Blueprint, Response, request

from registry.blueprints._asking import actor, note_pull
from registry.blueprints._blobs import blob_answer
from registry.blueprints._http import Answer, repository, services
from registry.digest import Digest

blueprint = Blueprint("blobs", __name__, url_prefix="/v2")


@blueprint.get("/<path:name>/blobs/<digest>")
def get_blob(name: str, digest: str) -> Response:
    """Serve a blob or a range of it; HEAD answers the same without the body."""
    asking, where = request.method == "HEAD", repository(name)
    look_up = services().blobs.check if asking else services().blobs.find
    found = look_up(actor(), where, Digest.parse(digest))
    if not asking:
        note_pull(where)
    return blob_answer(found)


@blueprint.delete("/<path:name>/blobs/<digest>")
def delete_blob(name: str, digest: str) -> Response:
    """Remove a blob from a repository."""
    services().blobs.delete(actor(), repository(name), Digest.parse(digest))
    return Answer(status=202)
