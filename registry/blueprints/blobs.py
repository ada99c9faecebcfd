"""Blobs (distribution-spec, "Pulling blobs", "Deleting Blobs")."""

from __future__ import annotations

from flask import Blueprint, Response, request

from registry.blueprints._http import Answer, actor, byte_range, not_modified, repository, services
from registry.content.blobs import StoredBlob
from registry.digest import Digest
from registry.media_types import OCTET_STREAM

blueprint = Blueprint("blobs", __name__, url_prefix="/v2")

_FIXED = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "max-age=31536000, immutable",
    # A blob may hold anything; no browser may take it for a page.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}


@blueprint.get("/<path:name>/blobs/<digest>")
def get_blob(name: str, digest: str) -> Response:
    """Serve a blob or a range of it; HEAD answers the same without the body."""
    look_up = services().blobs.check if request.method == "HEAD" else services().blobs.find
    blob = look_up(actor(), repository(name), Digest.parse(digest))
    headers = {**_FIXED, "Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
    if not_modified(digest):
        return Answer(status=304, headers=headers)
    start, length, status = 0, blob.size, 200
    wanted = byte_range(blob.size)
    if wanted is not None:
        start, length = wanted
        status = 206
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{blob.size}"
    headers["Content-Length"] = str(length)
    if request.method == "HEAD" or length == 0:
        return Answer(status=status, headers=headers, content_type=OCTET_STREAM)
    return _content(blob, start, length, Answer(status=status, headers=headers, content_type=OCTET_STREAM))


def _content(blob: StoredBlob, start: int, length: int, response: Response) -> Response:
    """Fill ``response`` from a file the server can send by itself, or from the store's stream."""
    wrapper = request.environ.get("wsgi.file_wrapper")
    file = services().blobs.open_file(blob) if wrapper is not None else None
    if file is None or wrapper is None:
        response.response = services().blobs.read(blob, start, length)
    else:
        file.seek(start)
        response.response = wrapper(file, 1 << 20)
        # The server ends at Content-Length, so a range needs no wrapper of its own.
    response.direct_passthrough = True
    return response


@blueprint.delete("/<path:name>/blobs/<digest>")
def delete_blob(name: str, digest: str) -> Response:
    """Remove a blob from a repository."""
    services().blobs.delete(actor(), repository(name), Digest.parse(digest))
    return Answer(status=202)
