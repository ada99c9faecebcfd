"""How referrers are answered (distribution-spec, "Listing Referrers")."""

from __future__ import annotations

import json
import re

from flask import Response, request

from registry.blueprints._asking import actor
from registry.blueprints._http import Answer, link_next, page_size, services, text_argument
from registry.digest import Digest
from registry.errors import PaginationInvalid
from registry.manifests.referrers import Cursor
from registry.media_types import REFERRERS_INDEX
from registry.names import RepositoryName

_LAST = re.compile(r"(\d{1,18}):(.{0,255})")


def referrers_answer(where: RepositoryName, subject: Digest, shown: str) -> Response:
    """Answer the current request for the referrers of ``subject``; ``shown`` names the repository in links."""
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
        return link_next(response, f"/v2/{shown}/referrers/{subject}", query)
    return response


def _cursor() -> Cursor:
    text = text_argument("last")
    if not text:
        return Cursor()
    match = _LAST.fullmatch(text)
    if match is None:
        raise PaginationInvalid("last is not a cursor of this listing", detail={"last": text[:256]})
    return Cursor(match[2], int(match[1]))
