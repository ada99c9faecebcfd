"""How a blob is answered: whole or a range, from a file or the store's stream, or by the store itself."""

from __future__ import annotations

from flask import Response, request

from registry.blueprints._asking import client_address
from registry.blueprints._http import Answer, byte_range, not_modified, services
from registry.content.blobs import StoredBlob
from registry.media_types import OCTET_STREAM

_FIXED = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "max-age=31536000, immutable",
}
_CONDITIONS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range")
"""What a client that follows a redirect sends along, and the store compares with tags and times of its own."""


def blob_answer(blob: StoredBlob) -> Response:
    """Answer the current request for a blob; HEAD without the body."""
    digest = str(blob.digest)
    headers = {**_FIXED, "Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
    if not_modified(digest):
        return Answer(status=304, headers=headers)
    start, length, status = 0, blob.size, 200
    wanted = byte_range(blob.size)
    if wanted is not None:
        start, length = wanted
        status = 206
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{blob.size}"
    if request.method == "GET" and (url := _elsewhere(blob, ranged=wanted is not None)):
        # What follows keeps the Range. The URL is good for minutes only, and a secret: nobody may keep it.
        there = {"Location": url, "Cache-Control": "no-store", "Docker-Content-Digest": digest, "Content-Length": "0"}
        return Answer(status=307, headers=there)
    headers["Content-Length"] = str(length)
    if request.method == "HEAD" or length == 0:
        return Answer(status=status, headers=headers, content_type=OCTET_STREAM)
    return _content(blob, start, length, Answer(status=status, headers=headers, content_type=OCTET_STREAM))


def _elsewhere(blob: StoredBlob, *, ranged: bool) -> str | None:
    """Return where the client gets the blob, None where only the registry can answer as it was asked."""
    redirects = services().redirects
    if not redirects.any or any(name in request.headers for name in _CONDITIONS):
        return None
    if "Range" in request.headers and not ranged:
        return None
    return redirects.url(blob, client_address())


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
