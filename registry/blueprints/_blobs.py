"""How a blob is answered: whole or a range, from a file or the store's stream."""

from __future__ import annotations

from flask import Response, request

from registry.blueprints._http import Answer, byte_range, not_modified, services
from registry.content.blobs import StoredBlob
from registry.media_types import OCTET_STREAM

_FIXED = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "max-age=31536000, immutable",
}


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
