"""What plugins may hold on to: readers that the core hands them, and the driver that they may be.

A storage driver knows opaque keys and bytes. It knows no digest, no repository and no database: what it must
remember of an upload between two requests is an :class:`UploadState`, which the core keeps.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Protocol, runtime_checkable

from registry.digest import Digest
from registry.hooks.types import ParsedManifest

MAX_READ = 4 * 1024 * 1024
"""The most that :meth:`ContentReader.read` returns, in bytes."""


class ContentMissing(LookupError):
    """The digest is not in the reader's repository (a sparse manifest, or content deleted since)."""


class ContentTooLarge(ValueError):
    """The content is longer than the reader was asked to read."""


class ContentReader(Protocol):
    """Read what one repository holds."""

    def read(self, digest: Digest, limit: int = MAX_READ) -> bytes:
        """Return the bytes of a blob or manifest of this repository.

        Raises :class:`ContentMissing`, or :class:`ContentTooLarge` above ``limit`` bytes.
        """

    def manifest(self, digest: Digest) -> ParsedManifest:
        """Return a manifest of this repository, parsed by its owner; raises :class:`ContentMissing`."""


class StorageError(Exception):
    """The store failed: nothing that was asked for may be assumed to have happened."""


class StorageFull(StorageError):
    """The store has no room left (ENOSPC, EDQUOT, InsufficientStorage)."""


class StorageReadOnly(StorageError):
    """The store takes no writes at the moment (EROFS)."""


class KeyMissing(StorageError, LookupError):
    """Nothing is stored under this key."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an upload that the store has acknowledged; ``number`` starts at 1, ``size`` is in bytes."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class UploadState:
    """What a driver needs to go on with an upload, on any machine.

    ``size`` counts the acknowledged bytes. ``handle`` is the store's own name of the session (S3: the
    upload id). ``parts`` are acknowledged pieces; ``tail`` is an acknowledged rest that is too short for a
    part, which the driver finds by the tail's ``etag`` (its own text, 100 characters at most). A store of
    plain files leaves all but ``key`` and ``size`` empty.
    """

    key: str
    size: int = 0
    handle: str = ""
    parts: Sequence[Part] = ()
    tail: Part | None = None


class UploadWriter(Protocol):
    """Appends to one upload during one request, in one thread. ``finish`` or ``discard`` ends it."""

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Append ``data``; it may be reused by the caller afterwards. Raises :class:`StorageError`."""

    def finish(self) -> UploadState:
        """Make everything written durable and return the state that acknowledges it.

        The state before it stays good as well until a writer is opened with the new one: the core may die
        between this call and its commit. After an error nothing that this writer wrote may be counted on.
        """

    def discard(self) -> None:
        """Forget what this writer wrote. The state before it stays good. Never raises."""


class StorageDriver(Protocol):
    """Bytes under opaque keys, each written once.

    Keys are 32 lower-case hex characters, allotted by the core and never used twice; what is not one raises
    :class:`ValueError`. All methods raise :class:`StorageError` (or a subclass) and nothing else for a
    failing store, and may be called from many threads at once, except that one upload is open in one writer
    at a time.
    """

    storage_id: str
    """Names this store in the database, for example ``file`` or ``s3``."""

    def open_upload(self, state: UploadState, length: int | None = None) -> UploadWriter:
        """Start or go on with an upload after ``state.size`` bytes.

        ``length`` is the number of bytes announced for this request, if the client did (to refuse what has
        no room). Raises :class:`KeyMissing` where the acknowledged bytes are gone; a store that cannot tell
        at once may leave that to the writer and :meth:`complete_upload`.
        """

    def complete_upload(self, state: UploadState) -> None:
        """Seal the upload: after it returns, ``state.size`` durable bytes are readable under ``state.key``.

        It may be called again after a failure or a crash, and then succeeds if it had succeeded before.
        Raises :class:`KeyMissing` where acknowledged bytes are gone.
        """

    def take_over(self, state: UploadState, key: str) -> UploadState:
        """Return a new upload under ``key`` that holds the acknowledged bytes of ``state``.

        A writer that still holds the old upload open cannot change the new one. The old one, once this was
        called, is only good for another takeover (with a new key, after a failure) and :meth:`abort_upload`.
        """

    def abort_upload(self, state: UploadState) -> None:
        """Remove an upload that was not completed: all that ``state`` names. May be repeated.

        What no state names (a writer died before its bytes were acknowledged) may be left to a store that
        :class:`ListsUploads`: a request waits for this call, and for no list. Only who holds the upload may call it: a
        writer that lost it to a takeover would take the bytes away that are being copied. A completed key stays.
        """

    def read(self, key: str, start: int = 0, length: int | None = None) -> Generator[bytes, None, None]:
        """Return the bytes from ``start``, ``length`` of them or to the end, in pieces of at most 1 MiB.

        Raises :class:`KeyMissing` at the call, :class:`StorageError` then or later where fewer bytes come
        than were asked for. The caller closes the generator, which releases what it holds.
        """

    def size(self, key: str) -> int:
        """Return the number of bytes stored under a completed ``key``; raises :class:`KeyMissing`."""

    def delete(self, key: str) -> None:
        """Remove a completed ``key``. Succeeds where there is nothing. May be repeated."""

    def check(self) -> None:
        """Raise :class:`StorageError` with the reason where the store cannot be used; cheap."""


@runtime_checkable
class OpensFiles(Protocol):
    """Optional: blobs are local files, so that the server can send them without copying (``sendfile``)."""

    def open_file(self, key: str) -> BinaryIO:
        """Return the completed blob opened for reading, at its start; raises :class:`KeyMissing`."""


@runtime_checkable
class PrefersChunks(Protocol):
    """Optional: the store gains from chunks of at least ``min_chunk`` bytes (``OCI-Chunk-Min-Length``)."""

    min_chunk: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """Something that a store has under a key.

    ``size`` is in bytes, None where the store cannot tell at once; ``modified_ms`` is when it last changed
    (milliseconds since 1970, by the store's clock). What is not ``complete`` belongs to an upload.
    """

    key: str
    size: int | None
    modified_ms: int
    complete: bool


@runtime_checkable
class ListsKeys(Protocol):
    """Optional: the store can tell all its keys, for ``moorage fsck`` alone; no request ever waits for that."""

    def list_keys(self) -> Iterator[StoredKey]:
        """Yield every key, in any order; an upload may come more than once, for each of its pieces.

        What is stored or removed meanwhile may be told or not. What is held in memory does not grow with the number
        of keys. Raises :class:`StorageError`, also on the way.
        """


@runtime_checkable
class RemovesMany(Protocol):
    """Optional: the store removes many keys in less than the same calls one by one (one flush, one request)."""

    def remove_many(self, states: Sequence[UploadState]) -> None:
        """Do for each what ``abort_upload`` and ``delete`` of its key do; all are gone when this returns.

        No request waits for this: a store may look for what no state names, too.
        Raises :class:`StorageError`, or :class:`ValueError` for what is no key: any of them may be gone then, and the
        core goes on one by one.
        """


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """A piece of an upload that a store has: ``state`` names it, so that ``abort_upload`` removes that piece.

    ``modified_ms`` is when it last changed (milliseconds since 1970, by the store's clock).
    """

    state: UploadState
    modified_ms: int


@runtime_checkable
class ListsUploads(Protocol):
    """Optional: the store can tell what it has of uploads, so that a job removes what crashes left there."""

    def list_uploads(self) -> Iterator[StoredUpload]:
        """Yield every piece of every upload that was not completed, in any order; completed keys are none.

        What is stored or removed meanwhile may be told or not. What is held in memory does not grow with their number.
        Raises :class:`StorageError`, also on the way.
        """


@runtime_checkable
class GivesUrls(Protocol):
    """Optional: clients can fetch blobs from the store themselves, by a URL that is good for a while."""

    def url_of(self, key: str, content_type: str, seconds: int) -> str:
        """Return a URL at which GET gives a completed ``key``, or a range of it, as ``content_type``.

        It is a secret: whoever has it reads the blob, for ``seconds`` from now. The store is not asked; raises
        :class:`StorageError` where there is nothing to sign with.
        """


class Outcome(StrEnum):
    """What came of a call that was tried: the store did it, does not know it, or failed at it."""

    OK = "ok"
    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TriedCall:
    """A call of the store that was tried: what it answered, and what the call is to Moorage.

    ``needed`` is one without which a registry on this store cannot work.
    """

    call: str
    outcome: Outcome
    answer: str
    meaning: str
    needed: bool = True


@runtime_checkable
class TriesCalls(Protocol):
    """Optional: the store can try every call that the driver makes, for ``moorage storage check``."""

    def try_calls(self) -> Iterator[TriedCall]:
        """Try each and yield what came of it, as it comes; nothing is left in the store. Never raises."""


class StorageFactory(Protocol):
    """Makes a driver for a storage URL."""

    def __call__(self, url: str, options: Mapping[str, str]) -> StorageDriver:
        """Return a driver for ``url``.

        ``options`` are the settings of the scheme with their prefix taken off (for ``s3``: ``endpoint_url``,
        ``region``, ``access_key_id``, ``secret_access_key``, and more, as ``docs/operations.md`` says). Raises
        :class:`ValueError` that says what to change.
        """
