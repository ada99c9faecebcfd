"""Clients that push all the time, and the ledger of what they were told: afterwards all of it must be there."""

import hashlib
import http
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from registry.testing.images import OCI, Blob, image, layer
from tests.support.ports import PATIENCE, wait_for_count, wait_until

_ACCEPTED, _CREATED = http.HTTPStatus.ACCEPTED, http.HTTPStatus.CREATED
LOST_CONNECTION = 0


class RefusedError(Exception):
    """The registry did not do what was asked; `status` is 0 where it did not even answer."""

    def __init__(self, status: int, text: str = "") -> None:
        """Keep the status and the answer's text."""
        self.status = status
        super().__init__(f"{status} {text}")


def some_bytes(seed: int, length: int) -> bytes:
    """Return bytes that no other seed gives."""
    return random.Random(seed).randbytes(length)


@dataclass
class Ledger:
    """What was acknowledged, by (repository, digest), what was refused, and why, by status."""

    blobs: dict[tuple[str, str], int] = field(default_factory=dict)
    manifests: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: Counter[int] = field(default_factory=Counter)
    texts: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def acknowledged(self) -> int:
        """How many pushes were answered with 201."""
        with self._lock:
            return len(self.blobs) + len(self.manifests)

    def keep_blob(self, repository: str, digest: str, size: int) -> None:
        """Note a blob that was answered with 201."""
        with self._lock:
            self.blobs[repository, digest] = size

    def keep_manifest(self, repository: str, tag: str, digest: str) -> None:
        """Note a tag that was answered with 201."""
        with self._lock:
            self.manifests[repository, tag] = digest

    def refuse(self, error: RefusedError) -> None:
        """Note a push that failed."""
        with self._lock:
            self.refused[error.status] += 1
            self.texts.add(str(error))

    def wait_for(self, acknowledged: int) -> None:
        """Wait until that many pushes were acknowledged, as long as there are ever more."""
        wait_for_count(lambda: self.acknowledged, acknowledged, "pushes are acknowledged")

    def lost(self, url: str) -> list[str]:
        """Return what was acknowledged and cannot be read in full from the registry at `url`."""
        with httpx.Client(base_url=url, timeout=PATIENCE) as client:
            return [
                *(text for (name, digest), size in self.blobs.items() if (text := _unread(client, name, digest, size))),
                *(
                    text
                    for (name, tag), digest in self.manifests.items()
                    if (text := _untold(client, name, tag, digest))
                ),
            ]

    def summary(self, url: str) -> str:
        """Check everything, and return the figure; raise AssertionError where something is lost."""
        lost = self.lost(url)
        answers = ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(self.refused.items()))
        figure = f"acknowledged {self.acknowledged}, lost {len(lost)}; refused: {answers or 'none'}"
        if lost:
            raise AssertionError(f"{figure}\n" + "\n".join(lost[:20]))
        return figure


def _unread(client: httpx.Client, repository: str, digest: str, size: int) -> str:
    answer = client.get(f"/v2/{repository}/blobs/{digest}")
    if answer.status_code != http.HTTPStatus.OK:
        return f"blob {repository}@{digest}: {answer.status_code} {answer.text[:200]}"
    if len(answer.content) != size or f"sha256:{hashlib.sha256(answer.content).hexdigest()}" != digest:
        return f"blob {repository}@{digest}: other bytes, {len(answer.content)} of {size}"
    return ""


def _untold(client: httpx.Client, repository: str, tag: str, digest: str) -> str:
    answer = client.get(f"/v2/{repository}/manifests/{tag}", headers={"Accept": OCI.manifest})
    if answer.status_code != http.HTTPStatus.OK:
        return f"tag {repository}:{tag}: {answer.status_code} {answer.text[:200]}"
    if answer.headers["Docker-Content-Digest"] != digest:
        return f"tag {repository}:{tag}: {answer.headers['Docker-Content-Digest']}, not {digest}"
    return ""


@dataclass(frozen=True)
class Pusher:
    """Pushes in every way that clients push."""

    client: httpx.Client
    ledger: Ledger
    repository: str = "fault/one"

    def whole(self, data: bytes) -> None:
        """One POST with the digest."""
        blob = Blob(data)
        self._ask("POST", f"/v2/{self.repository}/blobs/uploads/?digest={blob.digest}", _CREATED, data)
        self.ledger.keep_blob(self.repository, blob.digest, len(data))

    def put(self, data: bytes) -> None:
        """POST, then PUT with the bytes."""
        self.finish(self.begin(), data, data)

    def streamed(self, data: bytes) -> None:
        """POST, PATCH with the bytes, empty PUT: what Docker does."""
        self.finish(self.patch(self.begin(), data), data)

    def chunked(self, data: bytes) -> None:
        """POST, two PATCHes, PUT with the rest."""
        third = len(data) // 3
        location = self.patch(self.begin(), data[:third])
        self.finish(self.patch(location, data[third : 2 * third]), data, data[2 * third :])

    def image(self, data: bytes) -> None:
        """Push a whole image under a tag of its own."""
        built = image(layer({"content": data}))
        for part in built.blobs:
            self.streamed(part.data)
        tag = built.digest[7:23]
        path = f"/v2/{self.repository}/manifests/{tag}"
        self._ask("PUT", path, _CREATED, built.data, {"Content-Type": built.media_type})
        self.ledger.keep_manifest(self.repository, tag, built.digest)

    def begin(self) -> str:
        """Open an upload, and return its location."""
        return self._ask("POST", f"/v2/{self.repository}/blobs/uploads/", _ACCEPTED).headers["Location"]

    def patch(self, location: str, data: bytes) -> str:
        """Append to an upload, and return its location."""
        return self._ask("PATCH", location, _ACCEPTED, data).headers["Location"]

    def finish(self, location: str, whole: bytes, rest: bytes = b"") -> None:
        """Close an upload that then holds `whole`."""
        digest = Blob(whole).digest
        self._ask("PUT", f"{location}?digest={digest}", _CREATED, rest)
        self.ledger.keep_blob(self.repository, digest, len(whole))

    def finish_late(self, location: str, whole: bytes, rest: bytes = b"") -> None:
        """Close an upload whose last writer died, as soon as that writer is given up."""

        def attempt() -> bool:
            try:
                self.finish(location, whole, rest)
            except RefusedError as error:
                if error.status != http.HTTPStatus.CONFLICT:
                    raise
                return False
            return True

        wait_until(attempt, PATIENCE, "the dead writer is given up")

    def ways(self) -> tuple[Callable[[bytes], None], ...]:
        """Return all ways to push some bytes."""
        return self.whole, self.put, self.streamed, self.chunked, self.image

    def try_one(self, seed: int, length: int) -> int:
        """Push in the way that the seed chooses; note a refusal, and return the last answer's status."""
        ways = self.ways()
        try:
            ways[seed % len(ways)](some_bytes(seed, length))
        except RefusedError as error:
            self.ledger.refuse(error)
            return error.status
        return _CREATED

    def _ask(
        self, method: str, path: str, wanted: int, data: bytes = b"", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        try:
            try:
                answer = self.client.request(method, path, content=data, headers=headers)
            except httpx.RemoteProtocolError:
                # A kept connection may be closed at any time; every client tries once more on a new one.
                answer = self.client.request(method, path, content=data, headers=headers)
        except httpx.TransportError as error:
            raise RefusedError(LOST_CONNECTION, str(error)) from error
        if answer.status_code != wanted:
            raise RefusedError(answer.status_code, f"{method} {answer.text[:300]}")
        return answer


@contextmanager
def pushing(
    url: str, ledger: Ledger, *, clients: int = 4, length: int = 50_000, seed: int = 0, lasting: bool = False
) -> Iterator[None]:
    """Push from several threads while the context lasts; they end when the registry is gone, but with `lasting`."""
    stop = threading.Event()

    def work(number: int) -> None:
        with httpx.Client(base_url=url, timeout=PATIENCE) as client:
            pusher = Pusher(client, ledger, f"fault/r{number}")
            turn = 0
            status = int(_CREATED)
            while not stop.is_set() and (lasting or status != LOST_CONNECTION):
                status = pusher.try_one((seed * clients + number) * 1_000_003 + turn, length)
                turn += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
