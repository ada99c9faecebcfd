"""How an upload grows on S3: in parts, and a tail that is too short to be one.

S3 takes parts of 5 MiB or more, save the last. So a writer sends a part whenever it has gathered one, and
what is left when its request ends becomes an object of its own, the tail, which the next writer reads back.

Nothing that was acknowledged is ever overwritten: a writer's part numbers begin after those of the state that
it was opened with, and each tail has a new name. So what a frozen or discarded writer sends is in no list of
parts, and no state names its tail. A tail's predecessor may only go once the state that names the tail is
committed, which the writer cannot know: so a tail's ``etag`` reads ``name,predecessor``, and the next writer,
who was opened with the committed state, removes the predecessor. Where all went into parts the state has a tail
without bytes and without a name, ``,predecessor``.
"""

from __future__ import annotations

import contextlib
import uuid

from registry.hooks import KeyMissing, Part, StorageError, UploadState
from registry.storage.keys import blob_path, upload_path
from registry.storage.s3 import Bucket

MIB = 1024 * 1024
MIN_PART = 5 * MIB
_LAST_PART = 10_000


def part_size(number: int) -> int:
    """Return the size of a part, which is also what a writer holds in memory.

    S3 ends at 10,000 parts: of these sizes they hold 289 GiB, and the first 100 GiB need 16 MiB of memory.
    """
    if number <= 1000:  # noqa: PLR2004 - the two steps are what this function is about
        return 8 * MIB
    return 16 * MIB if number <= 7000 else 64 * MIB  # noqa: PLR2004 - the same


def tail_path(key: str, tail: Part) -> str:
    """Return the name of the object that holds a tail."""
    return f"{upload_path(key)}.{_name(tail)}"


def seal_path(key: str) -> str:
    """Return the name of the object that tells that ``key`` was completed for a takeover alone, and is no blob."""
    return f"{upload_path(key)}.sealed"


def stored_tails(state: UploadState) -> list[str]:
    """Return the names of the objects that a state knows of: its tail, and the one that this replaced."""
    return [tail_path(state.key, tail) for tail in (state.tail, predecessor(state.tail)) if tail and _name(tail)]


def predecessor(tail: Part | None) -> Part | None:
    """Return the tail that this one replaced, if any."""
    name = tail.etag.partition(",")[2] if tail else ""
    return Part(0, 0, name) if name else None


def new_tail(number: int, size: int, replaced: Part | None = None) -> Part:
    """Return a tail of a name that was never used."""
    name = uuid.uuid4().hex[:16] if size else ""
    return Part(number, size, f"{name},{_name(replaced)}" if replaced and _name(replaced) else name)


def _name(tail: Part) -> str:
    return tail.etag.partition(",")[0]


class S3Writer:
    """Appends to an upload, holding one part in memory."""

    def __init__(self, bucket: Bucket, state: UploadState) -> None:
        self._bucket = bucket
        self._before = state
        self._object = blob_path(state.key)
        self._handle = state.handle
        self._parts = list(state.parts)
        self._size = state.size
        self._buffer = self._read_tail()
        self._sound = True

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Gather ``data``, and send each part that is complete."""
        view = memoryview(data)
        while view:
            room = part_size(len(self._parts) + 1) - len(self._buffer)
            self._buffer += view[:room]
            self._size += len(view[:room])
            view = view[room:]
            if len(self._buffer) == part_size(len(self._parts) + 1):
                self._send_part()

    def finish(self) -> UploadState:
        """Store what is left as the tail."""
        before = self._before
        if not self._sound:
            raise StorageError(f"upload {before.key} failed before, and cannot be finished")
        if self._size == before.size:
            return before
        tail = new_tail(len(self._parts) + 1, len(self._buffer), before.tail)
        if self._buffer:
            try:
                self._bucket.put(tail_path(before.key, tail), self._buffer)
            except StorageError:
                self.discard()
                raise
        if stale := predecessor(before.tail):
            with contextlib.suppress(StorageError):
                self._bucket.delete(tail_path(before.key, stale))
        return UploadState(before.key, self._size, self._handle, tuple(self._parts), tail if tail.etag else None)

    def discard(self) -> None:
        """Drop what is in memory, and a multipart upload that no state knows."""
        self._sound = False
        self._buffer = bytearray()
        if self._handle != self._before.handle:
            with contextlib.suppress(StorageError):
                self._bucket.abort_multipart(self._object, self._handle)
            self._handle = self._before.handle

    def _read_tail(self) -> bytearray:
        tail = self._before.tail
        if tail is None or not tail.size:
            return bytearray()
        name = tail_path(self._before.key, tail)
        body, length = self._bucket.get(name)
        with contextlib.closing(body):
            if length != tail.size:
                raise KeyMissing(f"{name} has {length} bytes instead of {tail.size}")
            data = bytearray()
            while piece := self._bucket.read_piece(body, MIB):
                data += piece
        if len(data) != tail.size:
            raise StorageError(f"{name} ended at {len(data)} of {tail.size} bytes")
        return data

    def _send_part(self) -> None:
        number = len(self._parts) + 1
        if not self._sound or number > _LAST_PART:
            raise StorageError(f"upload {self._before.key} failed before or is too long for S3")
        try:
            if not self._handle:
                self._handle = self._bucket.create_multipart(self._object)
            self._parts.append(self._bucket.put_part(self._object, self._handle, number, self._buffer))
        except StorageError:
            self._sound = False
            raise
        # A new one, because the SDK may still look at the old.
        self._buffer = bytearray()
