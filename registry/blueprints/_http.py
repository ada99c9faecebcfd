"""What the views share: who asks, bodies, ranges, pages and links."""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlencode

from flask import Response, current_app, request

from registry.errors import (
    BlobUploadInvalid,
    PaginationInvalid,
    RangeInvalid,
    RegistryError,
    RequestInvalid,
    SizeInvalid,
    Unsupported,
)
from registry.manifests.reader import Accepted
from registry.names import AS_OF, RepositoryName
from registry.texts import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from registry.services import Services

_CONTENT_RANGE = re.compile(r"(?:bytes )?(\d{1,18})-(\d{1,18})(?:/(?:\d{1,18}|\*))?")
_PIECE = 1 << 20
_DRAINED = 32 * _PIECE
_BODY = "moorage.body"
_NUMBER = re.compile(r"\d{1,18}")
_MOST_WARNED = 4096
_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"'})
"""What a quoted-string escapes (RFC 9110, 5.6.4)."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Answer(Response):
    """A response that claims no content type of its own: nothing is HTML but the pages of logins."""

    default_mimetype = None


def services() -> Services:
    """Return the app's services."""
    return cast("Services", current_app.extensions["moorage"])


def repository(text: str) -> RepositoryName:
    """Return the repository that the path names, and leave it to the access log.

    Raises :class:`Unsupported` for one as it was at a time, of which the caller can only read.
    """
    if text.startswith(AS_OF):
        raise Unsupported("what was cannot be changed: use the repository itself", detail={"name": text[:256]})
    name = RepositoryName.parse(text)
    request.environ["moorage.repository"] = name.value
    return name


def drain_body() -> None:
    """Read the rest of the current request's body before an error is answered; one of no known length has no rest."""
    with contextlib.suppress(RequestInvalid):
        (request.environ.get(_BODY) or RequestBody()).drain()


def text_argument(name: str) -> str:
    """Return a parameter of the query, empty where there is none; raise :class:`RequestInvalid` for a NUL in it.

    PostgreSQL takes no text with NUL, and nothing that is asked for has one.
    """
    text = request.args.get(name, "")
    if "\0" in text:
        raise RequestInvalid("a parameter holds a NUL character", detail={"parameter": name})
    return text


def _announced() -> int | None:
    """Return the length of the request's body in bytes, None for a chunked one (RFC 9112, 6.3)."""
    coding = request.environ.get("HTTP_TRANSFER_ENCODING", "").strip(" \t").lower()
    if coding:
        if coding != "chunked":
            raise RequestInvalid("unknown transfer coding: use chunked", detail={"transferEncoding": coding[:64]})
        return None
    text = request.environ.get("CONTENT_LENGTH") or "0"
    if _NUMBER.fullmatch(text) is None or not text.isascii():
        raise RequestInvalid("malformed Content-Length", detail={"contentLength": text[:64]})
    return int(text)


class RequestBody:
    """A request's body; ``length`` is the announced number of bytes, or None for a chunked one.

    What the client announced and what it sent are compared: a body that ends early is never taken for a whole.
    """

    def __init__(self) -> None:
        """Read the current request; raises :class:`RequestInvalid` where its length cannot be understood."""
        environ = request.environ
        environ[_BODY] = self
        source = environ["wsgi.input"]
        # Whatever has arrived is worth writing: who can hand it out at once need not gather it first.
        self._read: Callable[[int], bytes] = getattr(source, "read1", source.read)
        self._received = 0
        self.length: int | None = 0
        self.length = _announced()

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, empty at the end; raise :class:`BlobUploadInvalid` where it was cut."""
        if self.length is not None:
            size = min(size, self.length - self._received)
            if size == 0:
                return b""
        try:
            data = self._read(size)
        except RegistryError:
            raise
        except Exception as error:  # the server's own classes for broken framing and lost clients
            raise BlobUploadInvalid(
                "the request's body could not be read", detail={"received": self._received}
            ) from error
        self._received += len(data)
        if not data and self.length is not None:
            raise BlobUploadInvalid(
                "the request's body ended early",
                detail={"announced": self.length, "received": self._received},
            )
        return data

    def drain(self) -> None:
        """Read what is left of a body that is not wanted, as far as is reasonable.

        A client that is still sending when the connection closes may lose the answer that tells it why.
        """
        left = _DRAINED
        with contextlib.suppress(RegistryError):
            while left > 0 and (piece := self.read(_PIECE)):
                left -= len(piece)

    def read_all(self, limit: int) -> bytes:
        """Return the whole body, or the first ``limit`` + 1 bytes of a longer one."""
        pieces: list[bytes] = []
        missing = limit + 1
        while missing and (piece := self.read(min(missing, _PIECE))):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


def chunk_start(body: RequestBody) -> int | None:
    """Return where a chunk starts by its ``Content-Range``, or None; raise where it contradicts the length."""
    header = request.headers.get("Content-Range")
    if header is None:
        return None
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None or int(match[2]) < int(match[1]):
        raise BlobUploadInvalid("malformed Content-Range", detail={"contentRange": header[:256]})
    start, end = int(match[1]), int(match[2])
    if body.length is not None and end - start + 1 != body.length:
        raise SizeInvalid(
            "Content-Range and Content-Length differ",
            detail={"contentRange": header[:256], "contentLength": body.length},
        )
    return start


def byte_range(size: int) -> tuple[int, int] | None:
    """Return the first byte and the length that ``Range`` asks for, or None for all.

    Several ranges and other units are ignored, as RFC 9110 (14.2) allows; one that cannot be served is a 416.
    """
    header = request.headers.get("Range")
    if header is None or not header.startswith("bytes=") or "," in header or not _if_range_holds():
        return None
    match = _RANGE.fullmatch(header)
    refusal = RangeInvalid(detail={"range": header[:256]}, headers={"Content-Range": f"bytes */{size}"})
    if match is None or not (match[1] or match[2]):
        raise refusal
    if not match[1]:
        length = min(int(match[2]), size)
        if length == 0:
            raise refusal
        return size - length, length
    start = int(match[1])
    end = min(int(match[2]), size - 1) if match[2] else size - 1
    if start >= size or end < start:
        raise refusal
    return start, end - start + 1


def _if_range_holds() -> bool:
    condition = request.headers.get("If-Range")
    return condition is None or (request.view_args or {}).get("digest", "") == condition.strip('"')


def not_modified(etag: str) -> bool:
    """Tell whether the client has this content already (``If-None-Match``)."""
    header = request.headers.get("If-None-Match")
    if header is None:
        return False
    return any(item.strip().removeprefix("W/") in ("*", f'"{etag}"') for item in header.split(","))


def page_size() -> int:
    """Return ``n`` of a listing, capped; raise :class:`PaginationInvalid`."""
    text = request.args.get("n")
    if text is None:
        return services().settings.page_size_max
    if _NUMBER.fullmatch(text) is None or not text.isascii():
        raise PaginationInvalid("n must be a number that is not negative", detail={"n": text[:64]})
    return min(int(text), services().settings.page_size_max)


def location(path: str) -> str:
    """Return a ``Location``: below the configured external URL, else relative to the host that was asked."""
    return services().external_url + path


def link_next(response: Response, path: str, query: dict[str, str]) -> Response:
    """Add the link to the next page."""
    response.headers["Link"] = f'<{location(quote(path))}?{urlencode(query)}>; rel="next"'
    return response


def warn(response: Response, warnings: Sequence[str]) -> None:
    """Add warnings for people, as far as they go into 4096 bytes (distribution-spec, "Warnings"; RFC 7234, 5.5)."""
    left = _MOST_WARNED
    for text in warnings:
        shown = readable(text).encode("ascii", "replace").decode("ascii").translate(_QUOTED)
        value = f'299 - "{shown}"'
        left -= len(value)
        if left < 0:
            return
        response.headers.add("Warning", value)


@lru_cache(maxsize=1024)
def accepted(header: str | None) -> Accepted:
    """Parse an ``Accept`` header (RFC 9110, 12.5.1); absent, it takes anything."""
    if not header or not header.strip():
        return Accepted((), anything=True)
    weighed: list[tuple[float, str]] = []
    for item in header.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                weight = _weight(parameter[2:])
        if media_type and weight > 0:
            weighed.append((weight, media_type))
    weighed.sort(key=lambda pair: -pair[0])
    types = [media_type for _, media_type in weighed]
    return Accepted(tuple(types), anything="*/*" in types or "application/*" in types)


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
