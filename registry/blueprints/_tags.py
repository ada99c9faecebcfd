"""The answer to a tag listing, of a repository as it is and as it was."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flask import Response

from registry.blueprints._http import Answer, link_next


def tags_answer(shown: str, tags: Sequence[str], limit: int, *, more: bool) -> Response:
    """Return a page of at most ``limit`` tags of the repository that is called ``shown``; ``more`` follow it."""
    response = Answer(json.dumps({"name": shown, "tags": list(tags)}), content_type="application/json")
    if more and tags:
        return link_next(response, f"/v2/{shown}/tags/list", {"n": str(limit), "last": tags[-1]})
    return response
