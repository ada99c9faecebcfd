"""Uploads and mounts (distribution-spec, "Pushing blobs", "Mounting a blob from another repository")."""

from __future__ import annotations

import re

from flask import Blueprint, Response, request

from registry.blueprints._asking import actor
from registry.blueprints._http import Answer, RequestBody, chunk_start, location, repository, services
from registry.content.uploads import UploadProgress
from registry.digest import Digest
from registry.errors import BlobUploadUnknown, DigestInvalid
from registry.names import RepositoryName

blueprint = Blueprint("uploads", __name__, url_prefix="/v2")

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@blueprint.post("/<path:name>/blobs/uploads/", strict_slashes=False)
def start_upload(name: str) -> Response:
    """Mount a blob, take a whole one, or open a session."""
    where, asker = repository(name), actor()
    mount = request.args.get("mount")
    if mount is not None:
        source = request.args.get("from")
        digest = Digest.parse(mount)
        if services().mounts.mount(asker, digest, where, RepositoryName.parse(source) if source else None):
            return _created(where, digest)
    elif "digest" in request.args:
        digest = Digest.parse(request.args["digest"])
        services().uploads.push(asker, where, digest, RequestBody())
        return _created(where, digest)
    algorithm = request.args.get("digest-algorithm")
    response = _session(where, services().uploads.start(asker, where, algorithm), 202)
    if services().uploads.min_chunk is not None:
        response.headers["OCI-Chunk-Min-Length"] = str(services().uploads.min_chunk)
    return response


@blueprint.get("/<path:name>/blobs/uploads/<uuid>")
def upload_status(name: str, uuid: str) -> Response:
    """Tell how far a session is."""
    where = repository(name)
    return _session(where, services().uploads.status(actor(), where, _uuid(uuid)), 204)


@blueprint.patch("/<path:name>/blobs/uploads/<uuid>")
def append_chunk(name: str, uuid: str) -> Response:
    """Append a chunk, or a stream of any length."""
    where, body = repository(name), RequestBody()
    return _session(where, services().uploads.append(actor(), where, _uuid(uuid), body, chunk_start(body)), 202)


@blueprint.put("/<path:name>/blobs/uploads/<uuid>")
def finish_upload(name: str, uuid: str) -> Response:
    """Append the last chunk, if any, and make the session's bytes a blob."""
    where, body = repository(name), RequestBody()
    if "digest" not in request.args:
        raise DigestInvalid("the digest parameter is missing", detail={"parameter": "digest"})
    digest = Digest.parse(request.args["digest"])
    services().uploads.finish(actor(), where, _uuid(uuid), digest, body, chunk_start(body))
    return _created(where, digest)


@blueprint.delete("/<path:name>/blobs/uploads/<uuid>")
def cancel_upload(name: str, uuid: str) -> Response:
    """Cancel a session."""
    services().uploads.cancel(actor(), repository(name), _uuid(uuid))
    return Answer(status=204)


def _uuid(text: str) -> str:
    if _UUID.fullmatch(text) is None:
        raise BlobUploadUnknown(detail={"uuid": text[:64]})
    return text


def _session(where: RepositoryName, progress: UploadProgress, status: int) -> Response:
    return Answer(
        status=status,
        headers={
            "Location": location(f"/v2/{where}/blobs/uploads/{progress.uuid}"),
            "Range": progress.range,
            "Docker-Upload-UUID": progress.uuid,
        },
    )


def _created(where: RepositoryName, digest: Digest) -> Response:
    return Answer(
        status=201,
        headers={
            "Location": location(f"/v2/{where}/blobs/{digest}"),
            "Docker-Content-Digest": str(digest),
        },
    )
