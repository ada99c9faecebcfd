"""The registry API as container clients use it."""

import json
from collections.abc import Iterator

from benchmarks.content import ACCEPT, MANIFEST, Blob, Image
from benchmarks.wire import Client, Response, WireError, encode

_OCTETS = {"Content-Type": "application/octet-stream"}
_ACCEPT = {"Accept": ACCEPT}
_TYPED = {"Content-Type": MANIFEST}


def _finish(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def push_blob(client: Client, repository: str, blob: Blob, *, patch: bool) -> None:
    """Upload a blob: with `patch` as Docker does (PATCH, then an empty PUT), else in the PUT."""
    location = client.call("POST", f"/v2/{repository}/blobs/uploads/", 202).location
    body: bytes | memoryview = blob.data
    if patch:
        location = client.call("PATCH", location, 202, headers=_OCTETS, body=body).location
        body = b""
    client.call("PUT", _finish(location, blob.digest), 201, headers=_OCTETS, body=body)


def push_image(client: Client, repository: str, image: Image, reference: str) -> None:
    """Push an image as Docker does: ask for each blob, upload it, and put the manifest."""
    for blob in image.blobs:
        client.call("HEAD", f"/v2/{repository}/blobs/{blob.digest}", 404)
        push_blob(client, repository, blob, patch=True)
    put_manifest(client, repository, image.manifest, reference)


def put_manifest(client: Client, repository: str, manifest: Blob, reference: str) -> None:
    """Put a manifest under a tag or its digest."""
    target = f"/v2/{repository}/manifests/{reference}"
    client.call("PUT", target, 201, headers=_TYPED, body=manifest.data)


def pull_image(client: Client, repository: str, image: Image, reference: str) -> None:
    """Pull an image as Docker does: resolve the tag, then get manifest, config and layers."""
    head = client.call("HEAD", f"/v2/{repository}/manifests/{reference}", 200, headers=_ACCEPT)
    digest = head.headers["docker-content-digest"]
    contents = [client.call("GET", f"/v2/{repository}/manifests/{digest}", 200, headers=_ACCEPT).body]
    contents += [client.call("GET", f"/v2/{repository}/blobs/{blob.digest}", 200).body for blob in image.blobs]
    if contents != [blob.data for blob in (image.manifest, *image.blobs)]:
        raise WireError(f"{repository}:{reference} came back changed")


def pages(client: Client, target: str) -> Iterator[Response]:
    """Yield the pages of a list, as its Link headers lead."""
    while target:
        page = client.call("GET", target, 200)
        yield page
        target = next_page(page)


def next_page(page: Response) -> str:
    """Return the target that a Link header names, or an empty string at the end of the list."""
    link = page.headers.get("link", "")
    if not link:
        return ""
    address = link.partition("<")[2].partition(">")[0]
    # Absolute or relative: what counts is the path.
    return address[address.index("/v2/") :]


def names(page: Response, key: str) -> int:
    """Return how many entries a page of a list has."""
    return len(json.loads(page.body)[key])


def manifest_request(port: int, method: str, repository: str, reference: str) -> bytes:
    """Return a GET or HEAD of a manifest, in bytes."""
    return encode(port, method, f"/v2/{repository}/manifests/{reference}", _ACCEPT)


def blob_request(port: int, method: str, repository: str, digest: str) -> bytes:
    """Return a GET or HEAD of a blob, in bytes."""
    return encode(port, method, f"/v2/{repository}/blobs/{digest}")


def put_request(port: int, repository: str, manifest: Blob, reference: str) -> bytes:
    """Return a PUT of a manifest, in bytes."""
    target = f"/v2/{repository}/manifests/{reference}"
    return encode(port, "PUT", target, _TYPED, len(manifest.data)) + bytes(manifest.data)


def mount_request(port: int, repository: str, digest: str, origin: str) -> bytes:
    """Return a mount of a blob out of another repository, in bytes."""
    target = f"/v2/{repository}/blobs/uploads/?mount={digest}&from={origin}"
    return encode(port, "POST", target, length=0)


def serials(prefix: str, count: int) -> list[str]:
    """Return names that sort in the order of their numbers."""
    return [f"{prefix}{number:06d}" for number in range(count)]
