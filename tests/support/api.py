"""A registry inside the test's process, and what tests of its HTTP answers share."""

import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from registry.testing.apps import quick_folder, running_app
from registry.testing.clock import Clock
from registry.testing.images import Manifest, digest_of

STREAM = "application/octet-stream"
_ERROR_KEYS = {"code", "message", "detail"}


@dataclass(frozen=True)
class CommonApp:
    """One app that tests use after one another, in `folder`/data: its routes and statements are compiled once."""

    app: Flask
    folder: Path
    blank: Path

    def start_anew(self) -> Flask:
        """Remove all that a test left, so that the folder holds an empty registry and nothing else."""
        services = self.app.extensions["moorage"]
        services.database.close_idle()
        data = self.folder / "data"
        for path in self.folder.rglob("*"):
            if path.is_file():
                path.unlink()
        for path in self.folder.iterdir():
            if path != data:
                shutil.rmtree(path)
        shutil.copy(self.blank / "moorage.db", data)
        services.database.gate.look()
        return self.app


@contextmanager
def common_app(blank: Path, clock: Clock | None = None, **settings: Any) -> Iterator[CommonApp]:
    """Give an app for many tests; each calls `start_anew` first."""
    with quick_folder() as folder, running_app(folder / "data", blank=blank, clock=clock, **settings) as app:
        yield CommonApp(app, folder, blank)


def error_of(response: TestResponse, status: int | None = None, code: str | None = None) -> dict[str, Any]:
    """Return the one error of a refusal, which has the specification's form and names the offending thing."""
    told = f"{response.request.method} {response.request.path}: {response.status} {response.data[:400]!r}"
    assert 400 <= response.status_code < 500, told
    assert status in (None, response.status_code), told
    assert response.headers.get("Content-Type") == "application/json", told
    body = response.json
    assert isinstance(body, dict), told
    assert list(body) == ["errors"], told
    assert len(body["errors"]) == 1, told
    error: dict[str, Any] = body["errors"][0]
    assert set(error) == _ERROR_KEYS, told
    assert error["code"] == error["code"].upper(), told
    assert error["message"], told
    assert code in (None, error["code"]), told
    return error


def link_of(answer: TestResponse) -> str | None:
    """Return the target of the link to the next page, or None."""
    text = answer.headers.get("Link")
    if text is None:
        return None
    target, relation = text.split(";")
    assert relation.strip() == 'rel="next"'
    assert target[0] + target[-1] == "<>"
    return target[1:-1]


@dataclass(frozen=True)
class Api:
    """Pushes through a Flask client; whatever is not as it should be raises AssertionError."""

    client: FlaskClient

    def start(self, repository: str, **query: str) -> str:
        """Open an upload and return its location."""
        answer = self.client.post(f"/v2/{repository}/blobs/uploads/", query_string=query)
        assert answer.status_code == 202, answer.data
        return answer.headers["Location"]

    def push_blob(self, repository: str, data: bytes, algorithm: str = "sha256") -> str:
        """Upload a blob in one request and return its digest."""
        digest = digest_of(data, algorithm)
        answer = self.client.post(
            f"/v2/{repository}/blobs/uploads/", query_string={"digest": digest}, data=data, content_type=STREAM
        )
        assert answer.status_code == 201, answer.data
        return digest

    def put_manifest(
        self, repository: str, reference: str, manifest: Manifest, tags: Sequence[str] = ()
    ) -> TestResponse:
        """PUT a manifest alone, and return the answer as it is."""
        return self.client.put(
            f"/v2/{repository}/manifests/{reference}",
            query_string={"tag": list(tags)} if tags else None,
            data=manifest.data,
            content_type=manifest.media_type,
        )

    def push(self, repository: str, manifest: Manifest, *tags: str) -> Manifest:
        """Push a manifest with all it needs, under each tag, or by digest without one."""
        for part in manifest.walk():
            if part is manifest:
                break
            if isinstance(part, Manifest):
                assert self.put_manifest(repository, part.digest, part).status_code == 201
            else:
                self.push_blob(repository, part.data, part.algorithm)
        for reference in tags or (manifest.digest,):
            answer = self.put_manifest(repository, reference, manifest)
            assert answer.status_code == 201, answer.data
        return manifest

    def chunked(self, method: str, path: str, data: bytes, **named: Any) -> TestResponse:
        """Send a body of unannounced length."""
        headers = {**named.pop("headers", {}), "Transfer-Encoding": "chunked"}
        return self.client.open(path, method=method, input_stream=io.BytesIO(data), headers=headers, **named)
