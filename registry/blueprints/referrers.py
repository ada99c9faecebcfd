"""Referrers (distribution-spec, "Listing Referrers")."""

from __future__ import annotations

import json
import re

from flask import Blueprint, Response, request

from registry.blueprints._http import Answer, actor, link_next, page_size, repository, services, text_argument
from registry.digest import Digest
from registry.errors import PaginationInvalid
from registry.manifests.referrers import Cursor
from registry.media_types import REFERRERS_INDEX

blueprint = Blueprint("referrers", __name__, url_prefix="/v2")

_LAST = re.compile(r"(\d{1,18}):(.{0,255})")


@blueprint.get("/<path:name>/referrers/<digest>")
def list_referrers(name: str, digest: str) -> Response:
    """List the manifests whose subject is ``digest``."""
    where, subject = repository(name), Digest.parse(digest)
    artifact_type = text_argument("artifactType") or None
    page = services().referrers.list(actor(), where, subject, artifact_type, _cursor(), page_size())
    index = {
        "schemaVersion": 2,
        "mediaType": REFERRERS_INDEX,
        "manifests": [referrer.descriptor for referrer in page.items],
    }
    response = Answer(json.dumps(index, ensure_ascii=False), content_type=REFERRERS_INDEX)
    if artifact_type is not None:
        response.headers["OCI-Filters-Applied"] = "artifactType"
    if page.more and page.items:
        end = page.items[-1].cursor
        query = {"last": f"{end.row_id}:{end.artifact_type}"}
        if "n" in request.args:
            query["n"] = str(page_size())
        if artifact_type is not None:
            query["artifactType"] = artifact_type
        return link_next(response, f"/v2/{where}/referrers/{subject}", query)
    return response


def _cursor() -> Cursor:
    text = text_argument("last")
    if not text:
        return Cursor()
    match = _LAST.fullmatch(text)
    if match is None:
        raise PaginationInvalid("last is not a cursor of this listing", detail={"last": text[:256]})
    return Cursor(match[2], int(match[1]))
