"""Manifests (distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting")."""

from __future__ import annotations

from flask import Blueprint, Response, request

from registry.blueprints._asking import actor, note_pull
from registry.blueprints._http import Answer, RequestBody, accepted, location, not_modified, repository, services, warn
from registry.digest import Digest
from registry.manifests.creator import MAX_MANIFEST
from registry.media_types import essence
from registry.names import TagName, parse_reference
from registry.revisions import Condition

blueprint = Blueprint("manifests", __name__, url_prefix="/v2")


@blueprint.get("/<path:name>/manifests/<reference>")
def get_manifest(name: str, reference: str) -> Response:
    """Serve a manifest; HEAD answers the same without the body."""
    asking = request.method == "HEAD"
    look_up = services().reader.check if asking else services().reader.get
    where, wanted = repository(name), parse_reference(reference)
    served = look_up(actor(), where, wanted, accepted(request.headers.get("Accept")))
    if not asking:
        tag = wanted.value if isinstance(wanted, TagName) else None
        services().pulls.note(served.manifest_id, (where.value, tag, str(served.digest)))
        note_pull(where, reference, served.digest)
    headers = {
        "Docker-Content-Digest": served.digest,
        "ETag": f'"{served.digest}"',
        "Vary": "Accept",
    }
    if not_modified(served.digest):
        return Answer(status=304, headers=headers)
    return Answer(served.payload, content_type=served.media_type, headers=headers)


@blueprint.put("/<path:name>/manifests/<reference>")
def put_manifest(name: str, reference: str) -> Response:
    """Store a manifest under a tag or digest, and under each ``?tag=``."""
    where, target = repository(name), parse_reference(reference)
    tags = [TagName.parse(tag) for tag in request.args.getlist("tag")]
    if isinstance(target, TagName):
        tags.insert(0, target)
    created = services().creator.create(
        actor(),
        where,
        essence(request.headers.get("Content-Type", "")),
        RequestBody().read_all(MAX_MANIFEST),
        digest=target if isinstance(target, Digest) else None,
        tags=list(dict.fromkeys(tags)),
    )
    manifest = created.manifest
    response = Answer(status=201)
    response.headers["Location"] = location(f"/v2/{where}/manifests/{manifest.digest}")
    response.headers["Docker-Content-Digest"] = str(manifest.digest)
    if manifest.subject is not None:
        response.headers["OCI-Subject"] = str(manifest.subject)
    for tag in request.args.getlist("tag"):
        response.headers.add("OCI-Tag", tag)
    warn(response, created.warnings)
    return response


@blueprint.delete("/<path:name>/manifests/<reference>")
def delete_manifest(name: str, reference: str) -> Response:
    """Delete a tag alone, or a manifest with all its tags."""
    where, target = repository(name), parse_reference(reference)
    if isinstance(target, TagName):
        services().tags.delete(actor(), where, target, Condition())
    else:
        services().deletion.delete(actor(), where, target)
    return Answer(status=202)
