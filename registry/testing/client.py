"""A small registry client over httpx: pushes what :mod:`registry.testing.images` builds, and checks what is there.

It takes any httpx client whose base URL is a registry's, so one over ``httpx.WSGITransport`` too.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from registry.testing.images import (
    MANIFEST_TYPES,
    OCI,
    Blob,
    Manifest,
    digest_of,
)

__all__ = ["Refused", "RegistryClient", "StoredManifest", "blob_descriptors", "schema1_payload"]

_JSON = ("application/json", "application/problem+json")


class Refused(AssertionError):
    """The registry answered otherwise than was hoped for.

    ``code``, ``reason`` and ``detail`` are those of the error that it told, empty and None where it told none.
    """

    def __init__(self, answer: httpx.Response) -> None:
        """Read the error in ``answer``."""
        self.status = answer.status_code
        self.code, self.reason, self.detail = _told(answer)
        asked = f"{answer.request.method} {answer.request.url}"
        super().__init__(f"{asked} answered {self.status}: {answer.text}")


def _told(answer: httpx.Response) -> tuple[str, str, object]:
    if answer.headers.get("Content-Type") not in _JSON:
        return "", "", None
    body = answer.json()
    if "errors" in body:  # /v2: OCI distribution-spec 1.1, "Error Codes"
        error = body["errors"][0]
        return error["code"], error["message"], error["detail"]
    return body.get("code", ""), body.get("detail", ""), body.get("context")


@dataclass(frozen=True)
class StoredManifest:
    """A manifest as the registry served it."""

    digest: str
    media_type: str
    payload: bytes = field(repr=False)
    body: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class RegistryClient:
    """Speaks the distribution API; an answer that was not hoped for raises :class:`Refused`."""

    http: httpx.Client

    def push(self, repository: str, content: Manifest, *tags: str) -> Manifest:
        """Push a manifest with all it needs; the manifest under each tag, or by digest without one."""
        for part in content.walk():
            if part is content:
                break
            if isinstance(part, Manifest):
                self.put_manifest(repository, part, part.digest)
            else:
                self.push_blob(repository, part)
        for reference in tags or (content.digest,):
            self.put_manifest(repository, content, reference)
        return content

    def push_blob(self, repository: str, blob: Blob) -> None:
        """Upload a blob in one POST and one PUT, unless the repository has it."""
        path = f"/v2/{repository}/blobs"
        if self.http.head(f"{path}/{blob.digest}").status_code == HTTPStatus.OK:
            return
        session = self._expect(self.http.post(f"{path}/uploads/"), HTTPStatus.ACCEPTED)
        location = session.url.join(session.headers["Location"])
        done = self.http.put(
            location.copy_merge_params({"digest": blob.digest}),
            content=blob.data,
            headers={"Content-Type": "application/octet-stream"},
        )
        self._expect(done, HTTPStatus.CREATED)

    def put_manifest(self, repository: str, content: Blob, reference: str) -> httpx.Response:
        """PUT the manifest's bytes alone, and return the answer."""
        done = self.http.put(
            f"/v2/{repository}/manifests/{reference}",
            content=content.data,
            headers={"Content-Type": content.media_type},
        )
        self._expect(done, HTTPStatus.CREATED)
        told = done.headers.get("Docker-Content-Digest")
        if told != content.digest:
            raise AssertionError(f"{repository}:{reference} was stored as {told}, not as {content.digest}")
        return done

    def manifest(self, repository: str, reference: str, accept: Sequence[str] = MANIFEST_TYPES) -> StoredManifest:
        """Return a manifest, whose bytes have the digest that was told (or asked for)."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self._expect(self.http.get(path, headers={"Accept": ", ".join(accept)}), HTTPStatus.OK)
        stored = StoredManifest(
            digest=answer.headers["Docker-Content-Digest"],
            media_type=answer.headers["Content-Type"],
            payload=answer.content,
            body=answer.json(),
        )
        signed = "signatures" in stored.body  # Docker's schema 1, whose digest is of what was signed
        _match(schema1_payload(stored.payload) if signed else stored.payload, stored.digest)
        if ":" in reference and stored.digest != reference:
            raise AssertionError(f"{path} answered with {stored.digest}")
        return stored

    def has_manifest(self, repository: str, reference: str) -> bool:
        """Tell by HEAD whether a manifest is there."""
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        answer = self.http.head(f"/v2/{repository}/manifests/{reference}", headers=headers)
        return self._expect(answer, HTTPStatus.OK, HTTPStatus.NOT_FOUND).is_success

    def digest(self, repository: str, tag: str) -> str:
        """Return the digest a tag points at."""
        return self.manifest(repository, tag).digest

    def blob(self, repository: str, digest: str) -> bytes:
        """Return a blob, whose bytes have its digest."""
        answer = self.http.get(f"/v2/{repository}/blobs/{digest}", follow_redirects=True)
        self._expect(answer, HTTPStatus.OK)
        return _match(answer.content, digest)

    def everything(self, repository: str, reference: str) -> dict[str, bytes]:
        """Return what a reference reaches, by digest, each part checked against its descriptor."""
        stored = self.manifest(repository, reference)
        found = {stored.digest: stored.payload}
        for child in stored.body.get("manifests", ()):
            part = self.everything(repository, child["digest"])
            _match_size(part[child["digest"]], child)
            found |= part
        for descriptor in blob_descriptors(stored.body):
            found[descriptor["digest"]] = self.blob(repository, descriptor["digest"])
            _match_size(found[descriptor["digest"]], descriptor)
        return found

    def tags(self, repository: str, page: int | None = None) -> list[str]:
        """Return all tags, over as many pages as there are; an unknown repository has none."""
        return self._listed(f"/v2/{repository}/tags/list", "tags", page)

    def catalog(self, page: int | None = None) -> list[str]:
        """Return the names of all repositories, over as many pages as there are."""
        return self._listed("/v2/_catalog", "repositories", page)

    def referrers(self, repository: str, digest: str, artifact_type: str | None = None) -> list[dict[str, Any]]:
        """Return the descriptors of what refers to a digest, over as many pages as there are."""
        params = {"artifactType": artifact_type} if artifact_type else {}
        url: httpx.URL | None = httpx.URL(f"/v2/{repository}/referrers/{digest}", params=params)
        found: list[dict[str, Any]] = []
        while url is not None:
            answer = self._expect(self.http.get(url), HTTPStatus.OK)
            if answer.headers["Content-Type"] != OCI.index:
                raise AssertionError(f"referrers came as {answer.headers['Content-Type']}")
            found += answer.json()["manifests"]
            url = _next(answer)
        return found

    def delete_manifest(self, repository: str, reference: str) -> None:
        """Delete a tag or, by digest, a manifest."""
        answer = self.http.delete(f"/v2/{repository}/manifests/{reference}")
        self._expect(answer, HTTPStatus.ACCEPTED)

    def tag(self, repository: str, tag: str, digest: str) -> dict[str, Any]:
        """Let a tag stand for a manifest of the repository, and return what ``/api/v1`` says of it."""
        path = f"/api/v1/repositories/{repository}/-/tags/{tag}"
        return self._json(self.http.put(path, json={"digest": digest}))

    def tag_details(self, repository: str, tag: str) -> dict[str, Any]:
        """Return what ``/api/v1`` says of a living tag: its digest, end (``until``), protection and more."""
        return self._json(self.http.get(f"/api/v1/repositories/{repository}/-/tags/{tag}"))

    def labels(self, repository: str, digest: str) -> dict[str, dict[str, Any]]:
        """Return a manifest's labels by key, as ``/api/v1`` shows them: value, source, warning and more."""
        path: str | None = f"/api/v1/repositories/{repository}/-/manifests/{digest}/labels"
        first, found = path, {}
        while path is not None:
            page = self._json(self.http.get(path))
            found.update({label["key"]: label for label in page["items"]})
            path = f"{first}?cursor={page['next']}" if page["next"] else None
        return found

    def add_label(self, repository: str, digest: str, key: str, value: str) -> dict[str, Any]:
        """Add a label to a stored manifest, and return it."""
        path = f"/api/v1/repositories/{repository}/-/manifests/{digest}/labels"
        return self._json(self.http.post(path, json={"key": key, "value": value}))

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        return dict(self._expect(answer, HTTPStatus.OK, HTTPStatus.CREATED).json())

    def _listed(self, path: str, key: str, page: int | None) -> list[str]:
        url: httpx.URL | None = httpx.URL(path, params={"n": page} if page else {})
        found: list[str] = []
        while url is not None:
            answer = self._expect(self.http.get(url), HTTPStatus.OK, HTTPStatus.NOT_FOUND)
            if answer.is_success:
                found += answer.json()[key] or []
            url = _next(answer)
        return found

    def _expect(self, answer: httpx.Response, *statuses: int) -> httpx.Response:
        if answer.status_code not in statuses:
            raise Refused(answer)
        return answer


def blob_descriptors(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the descriptors of a manifest's config and layers (an index and schema 1 have none)."""
    config = [body["config"]] if "config" in body else []
    return [*config, *body.get("layers", ())]


def schema1_payload(signed: bytes) -> bytes:
    """Return what the signature of a schema 1 manifest covers: the digest is of this, not of all bytes.

    The protected header tells how much of the text precedes the signatures, and what follows them.
    """
    encoded = json.loads(signed)["signatures"][0]["protected"]
    protected = json.loads(base64.urlsafe_b64decode(f"{encoded}=="))
    tail = base64.urlsafe_b64decode(f"{protected['formatTail']}==")
    return signed[: protected["formatLength"]] + tail


def _next(answer: httpx.Response) -> httpx.URL | None:
    link = answer.links.get("next")
    return answer.url.join(link["url"]) if link else None


def _match(data: bytes, digest: str) -> bytes:
    if digest_of(data, digest.partition(":")[0]) != digest:
        raise AssertionError(f"{len(data)} bytes that came as {digest} have another digest")
    return data


def _match_size(data: bytes, descriptor: dict[str, Any]) -> None:
    if len(data) != descriptor["size"]:
        raise AssertionError(f"{descriptor['digest']} has {len(data)} bytes, not {descriptor['size']}")
