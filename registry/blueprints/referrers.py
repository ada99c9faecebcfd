"""Referrers (distribution-spec, "Listing Referrers")."""

from __future__ import annotations

from flask import Blueprint, Response

from registry.blueprints._http import repository
from registry.blueprints._referrers import referrers_answer
from registry.digest import Digest

blueprint = Blueprint("referrers", __name__, url_prefix="/v2")


@blueprint.get("/<path:name>/referrers/<digest>")
def list_referrers(name: str, digest: str) -> Response:
    """List the manifests whose subject is ``digest``."""
    where = repository(name)
    return referrers_answer(where, Digest.parse(digest), where.value)
