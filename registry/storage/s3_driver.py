"""Blobs in a bucket of an S3 service.

``blobs/<first two characters>/<key>`` is complete; ``uploads/<key>.<something>`` belongs to an upload that
is open. What a process killed between storing bytes and the commit leaves behind is named by no state: requests never
look for it, as that takes a list; the job that goes through :meth:`S3Storage.list_uploads` removes it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from registry.hooks import Part, StorageError, StoredKey, StoredUpload, TriedCall, UploadState, UploadWriter
from registry.storage.keys import PIECE, blob_path, check_key, is_key, upload_path
from registry.storage.s3 import Bucket, open_bucket
from registry.storage.s3_trial import S3Trial
from registry.storage.s3_writer import MIB, MIN_PART, S3Writer, new_tail, seal_path, stored_tails, tail_path

if TYPE_CHECKING:
    from botocore.response import StreamingBody

# The longest piece that one call copies: the answer comes when it is done, and must come before the time-out.
_COPY = 512 * MIB
_BREAKS = 3
"""So often a read is gone on with whose body breaks off."""


class S3Storage:
    """Keeps blobs as objects, each sent as a multipart upload or, where it is small, at once."""

    storage_id = "s3"
    min_chunk = MIN_PART

    def __init__(self, bucket: Bucket, ca_bundle: str = "") -> None:
        """Keep blobs in ``bucket``; ``ca_bundle`` names the authorities that who fetches by URL has to trust."""
        self._bucket = bucket
        self._ca_bundle = ca_bundle

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, str]) -> Self:
        """Return the driver for ``s3://bucket/prefix``; raises ValueError."""
        return cls(open_bucket(url, options), options.get("ca_bundle", ""))

    def open_upload(self, state: UploadState, length: int | None = None) -> UploadWriter:
        """Start or go on with an upload. Lost parts are first noticed when one is added, or at the end."""
        del length
        check_key(state.key)
        return S3Writer(self._bucket, state)

    def complete_upload(self, state: UploadState) -> None:
        """Make the object, with the tail as its last part, and compare its length."""
        try:
            self._assemble(state)
        except StorageError:
            # A completion that is repeated because its answer was lost fails as each service likes best.
            if not self._is_stored(state.key, state.size):
                raise
        else:
            size = self.size(state.key)
            if size != state.size:
                raise StorageError(f"{state.key} has {size} bytes instead of {state.size} after its completion")
        with contextlib.suppress(StorageError):
            for name in stored_tails(state):
                self._bucket.delete(name)

    def take_over(self, state: UploadState, key: str) -> UploadState:
        """Seal the old parts as an object, which the store lets nobody add to, and copy that.

        Afterwards the old upload is good for another takeover (this one may have failed half-way) and for
        :meth:`abort_upload` only.
        """
        check_key(key)
        taken = UploadState(key, state.size)
        if state.parts:
            sealed = self._seal(state)
            handle = self._bucket.create_multipart(blob_path(key))
            parts = tuple(self._copy_pieces(blob_path(state.key), sealed, blob_path(key), handle))
            taken = UploadState(key, state.size, handle, parts)
        if state.tail is None or not state.tail.size:
            return taken
        tail = new_tail(len(taken.parts) + 1, state.tail.size)
        self._bucket.copy(tail_path(state.key, state.tail), tail_path(key, tail))
        return UploadState(key, state.size, taken.handle, taken.parts, tail)

    def abort_upload(self, state: UploadState) -> None:
        """Remove the parts and the tails that are named, and what a takeover sealed; never a completed object."""
        blob, seal = blob_path(state.key), seal_path(state.key)
        if state.handle:
            self._bucket.abort_multipart(blob, state.handle)
        sealed = self._bucket.exists(seal)
        if sealed:
            self._bucket.delete(blob)
        for name in [*stored_tails(state), *([seal] if sealed else [])]:
            self._bucket.delete(name)

    def remove_many(self, states: Sequence[UploadState]) -> None:
        """Remove all that there is under these keys; one list of what is open tells what no state names."""
        names = {blob_path(state.key): None for state in states}
        keys = {state.key for state in states}
        for state in states:
            if state.handle:
                self._bucket.abort_multipart(blob_path(state.key), state.handle)
            names |= dict.fromkeys(stored_tails(state))
        for name, handle, _ in self._bucket.listed_multiparts():
            if _key_of(name) in keys:
                self._bucket.abort_multipart(name, handle)
        names |= {name: None for name, _, _ in self._bucket.listed("uploads/") if _key_of(name) in keys}
        self._bucket.delete_all(list(names))

    def read(self, key: str, start: int = 0, length: int | None = None) -> Generator[bytes, None, None]:
        """Return the bytes in pieces; the store has answered when this returns."""
        pieces = self._pieces(key, start, length)
        next(pieces)
        return pieces

    def size(self, key: str) -> int:
        """Return the object's length."""
        return self._bucket.size(blob_path(key))

    def list_keys(self) -> Iterator[StoredKey]:
        """List the bucket: blobs, tails of uploads, and multipart uploads that are open."""
        for name, size, modified_ms in self._bucket.listed():
            key, complete = _key_of(name), name.startswith("blobs/")
            if is_key(key):
                yield StoredKey(key, size if complete else None, modified_ms, complete)
        for upload in self._open_multiparts():
            yield StoredKey(upload.state.key, None, upload.modified_ms, complete=False)

    def list_uploads(self) -> Iterator[StoredUpload]:
        """List the tails and seals of uploads, and the multipart uploads that are open; never the blobs."""
        for name, size, modified_ms in self._bucket.listed("uploads/"):
            key, ending = _key_of(name), name.partition(".")[2]
            if is_key(key) and name == f"{upload_path(key)}.{ending}" and "," not in ending:
                tail = None if name == seal_path(key) else Part(1, size, ending)
                yield StoredUpload(UploadState(key, tail=tail), modified_ms)
        yield from self._open_multiparts()

    def _open_multiparts(self) -> Iterator[StoredUpload]:
        for name, handle, started_ms in self._bucket.listed_multiparts():
            if is_key(key := _key_of(name)):
                yield StoredUpload(UploadState(key, handle=handle), started_ms)

    def url_of(self, key: str, content_type: str, seconds: int) -> str:
        """Return a presigned URL of the object."""
        return self._bucket.url_of(blob_path(key), content_type, seconds)

    def try_calls(self) -> Iterator[TriedCall]:
        """Try every call on objects of its own."""
        return S3Trial(self._bucket, self._ca_bundle).try_calls()

    def delete(self, key: str) -> None:
        """Remove the object."""
        self._bucket.delete(blob_path(key))

    def check(self) -> None:
        """Look whether the bucket answers."""
        self._bucket.check()

    def _assemble(self, state: UploadState) -> None:
        blob, tail = blob_path(state.key), state.tail
        if sum(part.size for part in state.parts) + (tail.size if tail else 0) != state.size:
            raise StorageError(f"the parts of upload {state.key} do not add up to {state.size} bytes")
        if state.parts:
            parts = list(state.parts)
            if tail and tail.size:
                number = len(parts) + 1
                etag = self._bucket.copy_part(blob, state.handle, number, tail_path(state.key, tail))
                parts.append(Part(number, tail.size, etag))
            self._bucket.complete_multipart(blob, state.handle, parts)
        elif tail:
            self._bucket.copy(tail_path(state.key, tail), blob)
        else:
            self._bucket.put(blob, b"")

    def _seal(self, state: UploadState) -> int:
        """Complete the old upload's parts and return their length. The seal tells an abort that it may go."""
        blob, size = blob_path(state.key), sum(part.size for part in state.parts)
        self._bucket.put(seal_path(state.key), b"")
        try:
            self._bucket.complete_multipart(blob, state.handle, list(state.parts))
        except StorageError:
            if not self._is_stored(state.key, size):
                raise
        return size

    def _copy_pieces(self, source: str, size: int, target: str, handle: str) -> Iterator[Part]:
        """Copy an object into parts of about the same size, none of them too short for one."""
        count = -(-size // _COPY)
        edges = [size * number // count for number in range(count + 1)]
        for number, (start, stop) in enumerate(itertools.pairwise(edges), start=1):
            etag = self._bucket.copy_range(target, handle, number, source, f"bytes={start}-{stop - 1}")
            yield Part(number, stop - start, etag)

    def _is_stored(self, key: str, size: int) -> bool:
        try:
            return self.size(key) == size
        except StorageError:
            return False

    def _pieces(self, key: str, start: int, length: int | None) -> Generator[bytes, None, None]:
        """Yield an empty piece once the store has answered, then the bytes."""
        if length == 0 or start:
            # Only a plain read may ask for bytes without knowing that they exist: the others cannot be told
            # from a range that the store cut, or refuses because it is empty.
            size = self.size(key)
            length = size - start if length is None else length
            if length < 0 or start + length > size:
                raise StorageError(f"{key} has {size} bytes, and those up to {start + length} were asked for")
            if length == 0:
                yield b""
                return
        stop = "" if length is None else str(start + length - 1)
        body, announced = self._bucket.get(blob_path(key), f"bytes={start}-{stop}" if start or stop else "")
        if length is not None and announced != length:
            body.close()
            raise StorageError(f"{key} gives {announced} of the {length} bytes that were asked for")
        with contextlib.closing(self._body(blob_path(key), body, start, announced)) as pieces:
            yield b""
            yield from pieces

    def _body(self, name: str, body: StreamingBody, start: int, left: int) -> Generator[bytes, None, None]:
        """Yield the ``left`` bytes of a body from ``start``; where it breaks off, the rest is asked for anew."""
        for breaks in itertools.count(1):
            try:
                for piece in self._sent(name, body, left):
                    start, left = start + len(piece), left - len(piece)
                    yield piece
            except StorageError:
                if breaks > _BREAKS:
                    raise
            else:
                return
            body, announced = self._bucket.get(name, f"bytes={start}-{start + left - 1}")
            if announced != left:
                body.close()
                raise StorageError(f"{name} gives {announced} of the {left} bytes that are left")

    def _sent(self, name: str, body: StreamingBody, left: int) -> Iterator[bytes]:
        """Yield what a body has of ``left`` bytes; raises StorageError where it ends before."""
        with contextlib.closing(body):
            while left and (piece := self._bucket.read_piece(body, min(PIECE, left))):
                left -= len(piece)
                yield piece
        if left:
            raise StorageError(f"{name} ended {left} bytes early")


def _key_of(name: str) -> str:
    """Return the key in an object's name; a tail's has more behind it."""
    return name.rpartition("/")[2].partition(".")[0]
