"""Repositories as they were: any client can pull ``HOST/as-of.20261124t100000z/NAME:TAG``, and none can change it."""

from __future__ import annotations

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from registry.blueprints._asking import actor, note_pull
from registry.blueprints._blobs import blob_answer
from registry.blueprints._http import Answer, accepted, page_size, repository, services, text_argument
from registry.blueprints._referrers import referrers_answer
from registry.blueprints._tags import tags_answer
from registry.digest import Digest
from registry.errors import NameInvalid
from registry.names import AS_OF, RepositoryName, parse_as_of, parse_reference

blueprint = Blueprint("past", __name__, url_prefix="/v2/as-of.<stamp:stamp>")


class StampConverter(BaseConverter):
    """The time in a path; it joins the rest of its rule, which so comes before the rules of any name."""

    part_isolating = False
    regex = "[^/]{1,255}"


@blueprint.record_once
def _know_stamps(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["stamp"] = StampConverter


def _past(stamp: str) -> int:
    """Return the time in a path, in milliseconds: what is to come may change, and who names a time relies on it."""
    time_ms = parse_as_of(stamp)
    if time_ms > services().now():
        raise NameInvalid("that time is yet to come", detail={"name": f"{AS_OF}{stamp}"})
    return time_ms


def _shown(stamp: str, where: RepositoryName) -> str:
    """Return how a repository as it was is called."""
    return f"{AS_OF}{stamp}/{where}"


@blueprint.get("/<path:name>/manifests/<reference>")
def get_manifest(stamp: str, name: str, reference: str) -> Response:
    """Serve a manifest by the tag's meaning at that time, or by digest if it is still kept."""
    where, time_ms = repository(name), _past(stamp)
    formats = accepted(request.headers.get("Accept"))
    served = services().past.get(actor(), where, parse_reference(reference), formats, time_ms)
    if request.method != "HEAD":
        note_pull(where, reference, served.digest)
    headers = {"Docker-Content-Digest": served.digest, "Vary": "Accept"}
    return Answer(served.payload, content_type=served.media_type, headers=headers)


@blueprint.get("/<path:name>/blobs/<digest>")
def get_blob(stamp: str, name: str, digest: str) -> Response:
    """Serve a blob of the repository that is still kept, deleted or not."""
    _past(stamp)
    where = repository(name)
    found = services().blobs.find_kept(actor(), where, Digest.parse(digest))
    if request.method != "HEAD":
        note_pull(where)
    return blob_answer(found)


@blueprint.get("/<path:name>/tags/list")
def list_tags(stamp: str, name: str) -> Response:
    """List the tags that the repository had at that time."""
    where, time_ms, limit = repository(name), _past(stamp), page_size()
    page = services().history.as_of(actor(), where, time_ms, limit, text_argument("last"))
    return tags_answer(_shown(stamp, where), [row.name for row in page.items], limit, more=page.more)


@blueprint.get("/<path:name>/referrers/<digest>")
def list_referrers(stamp: str, name: str, digest: str) -> Response:
    """List what refers to a manifest, as it is now: signatures that came later belong to what was, too."""
    _past(stamp)
    where = repository(name)
    return referrers_answer(where, Digest.parse(digest), _shown(stamp, where))
