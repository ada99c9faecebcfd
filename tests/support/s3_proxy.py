"""A way to an S3 service on which calls fail as planned: refused, cut off, held up, or done with the answer lost."""

import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

Kind = Literal["500", "503", "reset", "cut", "slow", "lost"]
_CODES = {"500": (500, "InternalError"), "503": (503, "SlowDown")}
_SLOW_SECONDS = 0.3
_DROPPED = {"connection", "transfer-encoding", "keep-alive"}


@dataclass
class Fault:
    """What happens to some calls of one kind: each `every`-th of them, `times` times at most."""

    call: str
    kind: Kind
    times: int = 1
    every: int = 1
    seen: int = 0

    def strikes(self, call: str) -> bool:
        """Tell whether this call is one of them, and count it."""
        if self.call not in (call, "*") or not self.times:
            return False
        self.seen += 1
        if self.seen % self.every:
            return False
        self.times -= 1
        return True


@dataclass
class S3Proxy:
    """Relays to a service; `calls` counts what arrived, `struck` what failed, `connections` those that were made."""

    port: int
    upstream: int
    faults: list[Fault] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint_url(self) -> str:
        """The URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    def fail(self, call: str, kind: Kind, times: int = 1, every: int = 1) -> None:
        """Let calls of a kind (`PutObject`, or `*`) fail from now on."""
        with self.lock:
            self.faults.append(Fault(call, kind, times, every))

    def heal(self) -> None:
        """Let all go well from now on."""
        with self.lock:
            self.faults.clear()

    def meet(self, call: str) -> Kind | None:
        """Count a call, and return what is to happen to it."""
        with self.lock:
            self.calls[call] += 1
            for fault in self.faults:
                if fault.strikes(call):
                    self.struck[f"{fault.kind} {call}"] += 1
                    return fault.kind
        return None


def name_of(method: str, path: str, *, copies: bool) -> str:
    """Return the name of an S3 call as the SDK has it, by what HTTP shows of it."""
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    whole = urlsplit(path).path.strip("/").count("/") == 0
    parts = "UploadPartCopy" if copies else "UploadPart"
    found = {
        "POST": "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload",
        "PUT": parts if "partNumber" in query else ("CopyObject" if copies else "PutObject"),
        "GET": "GetObject",
        "HEAD": "HeadBucket" if whole else "HeadObject",
        "DELETE": "AbortMultipartUpload" if "uploadId" in query else "DeleteObject",
    }[method]
    if "delete" in query:
        return "DeleteObjects"
    if method == "GET" and whole:
        return "ListMultipartUploads" if "uploads" in query else "ListObjectsV2"
    return found


@contextmanager
def s3_proxy(upstream: int) -> Iterator[S3Proxy]:
    """Listen on a loopback port, and relay to the service on port `upstream`."""

    class Handler(_Relay):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.proxy = S3Proxy(server.server_address[1], upstream)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Handler.proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: S3Proxy

    def setup(self) -> None:
        super().setup()
        with self.proxy.lock:
            self.proxy.connections += 1

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def relay(self) -> None:
        """Pass one call on, as planned."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.proxy.meet(name_of(self.command, self.path, copies="x-amz-copy-source" in self.headers))
        if kind in _CODES:
            self.refuse(*_CODES[kind])
        elif kind == "reset":
            self.reset()
        else:
            if kind == "slow":
                threading.Event().wait(_SLOW_SECONDS)
            self.pass_on(body, kind)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = relay  # noqa: N815 - as http.server wants it

    def refuse(self, status: int, code: str) -> None:
        """Answer as the service does that is in trouble."""
        text = f"<Error><Code>{code}</Code><Message>planned</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(text)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else text)

    def reset(self) -> None:
        """Break the connection off, as the end of a process does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def pass_on(self, body: bytes, kind: Kind | None) -> None:
        """Ask the service, and give back what it answers, or only half of it, or nothing."""
        there = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream, timeout=60)
        try:
            there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in (*_DROPPED, "expect"):
                    there.putheader(name, value)
            there.endheaders(body or None)
            answer = there.getresponse()
            data = answer.read()
        finally:
            there.close()
        if kind == "lost":
            self.reset()
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in (*_DROPPED, "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if self.command != "HEAD":
            with suppress(OSError):
                self.wfile.write(data[: len(data) // 2] if kind == "cut" else data)
        if kind == "cut":
            self.wfile.flush()
            self.reset()
