"""A WSGI app without a registry, and gunicorn's configuration for it: what the server's own tests talk to."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from registry.errors import RegistryError
from registry.serving.options import gunicorn_options
from registry.settings import load_settings

BIG = 6 * 1024 * 1024
FILE = b"0123456789" * 100_000

if __name__ == "__config__":
    globals().update(gunicorn_options(load_settings()))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer by the last part of the path."""
    what = environ["PATH_INFO"].rpartition("/")[2]
    if what == "broken":
        raise RuntimeError("as told")
    if what == "sleep":
        time.sleep(float(environ["QUERY_STRING"]))
    if what == "file":
        return _file(environ, start_response)
    if what == "chunked":
        start_response("200 OK", [])
        return [b"one", b"", b"two"]
    if what == "short":
        start_response("200 OK", [("Content-Length", "10")])
        return [b"five!"]
    status, body = "200 OK", b"z" * BIG if what == "big" else b"ok"
    if environ["REQUEST_METHOD"] == "PUT" and what != "unread":
        status, body = _receive(environ["wsgi.input"])
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]


def _receive(stream: Any) -> tuple[str, bytes]:
    count = 0
    try:
        while data := stream.read(1 << 20):
            count += len(data)
    except RegistryError as error:
        return f"{error.http_status} Refused", error.message.encode()
    return "201 Created", str(count).encode()


def _file(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    with tempfile.NamedTemporaryFile(delete=False) as made:
        made.write(FILE)
    file = Path(made.name).open("rb")  # noqa: SIM115 - the server closes it
    os.unlink(made.name)  # noqa: PTH108 - a descriptor is enough
    file.seek(5)
    start_response("200 OK", [("Content-Length", str(len(FILE) - 10))])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
    return wrapped
