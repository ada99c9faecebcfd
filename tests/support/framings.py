"""Broken HTTP on the wire (RFC 9112): each case may get one refusal or a closed connection, and nothing else.

Where a case leaves bytes behind what a lenient server takes for its body, those bytes are a whole second request: an
answer to it would show that two servers in a row can be made to disagree about where requests end.
"""

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

SMUGGLED = b"GET /v2/_catalog HTTP/1.1\r\nHost: smuggled\r\n\r\n"
_PATH = b"/UPLOAD"
"""Stands for the location of an open upload: only what reads its body can notice that the framing is broken."""
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n")

Case = tuple[str, bytes]


def _patch(*headers: bytes, body: bytes = SMUGGLED, version: bytes = b"HTTP/1.1") -> bytes:
    lines = [b"PATCH " + _PATH + b" " + version, b"Host: registry", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def framings() -> Iterator[Case]:
    """Yield (name, bytes) of requests that have no meaning; each `/UPLOAD` in them stands for an open upload."""
    yield from _lengths()
    yield from _codings()
    yield from _chunks()
    yield from _headers()
    yield from _request_lines()


def _lengths() -> Iterator[Case]:
    both = (b"Content-Length: 5", b"Transfer-Encoding: chunked")
    yield "CL.TE", _patch(*both, body=b"0\r\n\r\n" + SMUGGLED)
    yield "TE.CL", _patch(*both[::-1], body=b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
    yield "TE.CL zero", _patch(b"Transfer-Encoding: chunked", b"Content-Length: 0", body=b"0\r\n\r\n" + SMUGGLED)
    yield "two lengths", _patch(b"Content-Length: 0", b"Content-Length: 46")
    yield "two lengths, other case", _patch(b"content-length: 46", b"CONTENT-LENGTH: 0")
    for text in (
        b"-1",
        b"+0",
        b"0x0",
        b"1e1",
        b"1_0",
        b"0, 46",
        b"zero",
        b"1 0",
        b"\xb2",
        b"0;",
        b'"0"',
        b"0.0",
        b"9" * 5000,
    ):
        yield f"length {text[:9]!r}", _patch(b"Content-Length: " + text)
    yield "length cut short", _patch(b"Content-Length: 1000", body=b"hello")
    yield "length with a blank before the colon", _patch(b"Content-Length : 46")
    yield "length with a tab before the colon", _patch(b"Content-Length\t: 46")


def _codings() -> Iterator[Case]:
    end = b"0\r\n\r\n" + SMUGGLED
    for text in (
        b"xchunked",
        b"chunked, identity",
        b"identity",
        b"gzip",
        b"chunked, chunked",
        b"chunked, gzip",
        b"\x0bchunked",
        b"chunked\x00",
        b"chunke\xc4\xa3",
        b"chunked;q=1",
        b'"chunked"',
        b"nothing, chunked",
        b"cow",
    ):
        yield f"coding {text!r}", _patch(b"Transfer-Encoding: " + text, body=end)
    yield "two codings", _patch(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=end)
    yield "two codings, unknown last", _patch(b"Transfer-Encoding: chunked", b"Transfer-Encoding: cow", body=end)
    yield "coding with a blank before the colon", _patch(b"Transfer-Encoding : chunked", body=end)
    yield "coding folded", _patch(b"Transfer-Encoding:", b" chunked", body=end)
    yield "coding in HTTP/1.0", _patch(b"Transfer-Encoding: chunked", body=end, version=b"HTTP/1.0")


def _chunks() -> Iterator[Case]:
    chunked = b"Transfer-Encoding: chunked"
    for text in (
        b"",
        b"x",
        b"-1",
        b"+5",
        b"0x5",
        b"5_0",
        b" 5",
        b"\t5",
        b"5 5",
        b"g",
        b"5,",
        b"\xb2",
        b"F" * 40,
        b"5\x00",
        b"5\x0b",
    ):
        yield f"chunk size {text[:9]!r}", _patch(chunked, body=text + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
    yield "chunk longer than its size", _patch(chunked, body=b"3\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
    yield "chunk shorter than its size", _patch(chunked, body=b"8\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
    yield "chunk without its end", _patch(chunked, body=b"5\r\nhello0\r\n\r\n" + SMUGGLED)
    yield "chunks cut short", _patch(chunked, body=b"5\r\nhello\r\n")
    yield "chunks cut in a size", _patch(chunked, body=b"5")
    yield "chunks with bare line feeds", _patch(chunked, body=b"5\nhello\n0\n\n" + SMUGGLED)
    yield "chunks with bare returns", _patch(chunked, body=b"5\rhello\r0\r\r" + SMUGGLED)
    yield "chunk extension with a line feed", _patch(chunked, body=b"5;a\nb\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
    yield "chunk extension without end", _patch(chunked, body=b"5;" + b"a" * 200_000)


def _headers() -> Iterator[Case]:
    for name, line in {
        "folded": b"X-A: 1\r\n 2",
        "folded by a tab": b"X-A: 1\r\n\t2",
        "without a colon": b"nonsense",
        "without a name": b": value",
        "blank in the name": b"X A: 1",
        "NUL in the name": b"X\x00A: 1",
        "NUL in the value": b"X-A: 1\x002",
        "return in the value": b"X-A: 1\rX-B: 2",
        "line feed as an end": b"X-A: 1\nX-B: 2",
        "parenthesis in the name": b"X(A): 1",
        "quote in the name": b'"X": 1',
        "byte beyond ASCII in the name": b"X\xe9: 1",
        "huge": b"X-A: " + b"a" * 200_000,
        "huge name": b"X" * 200_000 + b": 1",
    }.items():
        yield f"header {name}", _patch(line, b"Content-Length: 0")
    yield "headers without end", _patch(*(b"X-%d: 1" % number for number in range(20_000)))
    yield "headers cut short", b"PATCH " + _PATH + b" HTTP/1.1\r\nHost: registry\r\nX-A:"
    yield "first header folded", b"GET /v2/ HTTP/1.1\r\n Host: registry\r\n\r\n" + SMUGGLED


def _request_lines() -> Iterator[Case]:
    for line in (
        b"GET",
        b"GET /v2/",
        b"GET  /v2/ HTTP/1.1",
        b"GET /v2/ HTTP/1.1 ",
        b"GET /v2/ HTTP/1.1 x",
        b" GET /v2/ HTTP/1.1",
        b"GET /v2/ /v2/ HTTP/1.1",
        b"GET /v2/ HTTP/2.0",
        b"GET /v2/ HTTP/0.9",
        b"GET /v2/ HTTP/9.9",
        b"GET /v2/ HTTP/1",
        b"GET /v2/ HTTP/1.1.1",
        b"GET /v2/ http/1.1",
        b"GET /v2/ ICY/1.1",
        b"G\x00T /v2/ HTTP/1.1",
        b"G(T /v2/ HTTP/1.1",
        b"GET /v2/\x00 HTTP/1.1",
        b"GET /v2/" + b"a" * 200_000 + b" HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0",
        b"\xff\xfe\xfd",
        b"<html>",
    ):
        yield f"request line {line[:24]!r}", line + b"\r\nHost: registry\r\n\r\n" + SMUGGLED


@dataclass(frozen=True)
class Answer:
    """One response as it came over the wire."""

    status: int
    head: bytes
    body: bytes

    def is_refusal(self) -> bool:
        """Tell whether this is a 4xx in the specification's form."""
        if not 400 <= self.status < 500 or b"content-type: application/json\r\n" not in self.head.lower():
            return False
        try:
            (error,) = json.loads(self.body)["errors"]
        except (ValueError, KeyError, TypeError):
            return False
        return set(error) == {"code", "message", "detail"}


def exchange(port: int, sent: bytes, timeout: float = 20) -> list[Answer]:
    """Send bytes, close our side, and return every answer until the server closes its own."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it hung up on us already: what it said before that can still be read
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionError:
            pass
    return list(_answers(bytes(received)))


def _answers(received: bytes) -> Iterator[Answer]:
    while received:
        line = _STATUS_LINE.match(received)
        if line is None:
            raise AssertionError(f"no HTTP answer: {received[:200]!r}")
        head, _, rest = received.partition(b"\r\n\r\n")
        head += b"\r\n"
        length = re.search(rb"\r\ncontent-length: *(\d+)\r\n", head, re.IGNORECASE)
        end = int(length[1]) if length else 0
        yield Answer(int(line[1]), head, rest[:end])
        received = rest[end:]
