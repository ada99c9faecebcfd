"""Trying every call of an S3 service that the driver makes, on objects that nothing else has the name of.

What a trial that is killed leaves behind is of an upload that no row knows, and goes with the leftovers of others.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator

import urllib3
from urllib3.exceptions import HTTPError

from registry.hooks import Part, StorageError, TriedCall
from registry.storage.keys import blob_path, upload_path
from registry.storage.s3 import Bucket, code_of
from registry.storage.s3_writer import MIN_PART, seal_path
from registry.storage.trials import CallMissing, Step, compare, tried

_SMALL = bytes(range(256))
_WRONG_SHA256 = "A" * 43 + "="
_TYPE = "application/octet-stream"
_SECONDS = 60
_PARTIAL = 206
_CODE = re.compile(rb"<Code>(\w{1,64})</Code>")


class S3Trial:
    """Tries one bucket."""

    def __init__(self, bucket: Bucket, ca_bundle: str) -> None:
        key = uuid.uuid4().hex
        self._bucket = bucket
        self._ca_bundle = ca_bundle
        self._blob, self._aborted = blob_path(key), blob_path(uuid.uuid4().hex)
        self._small, self._copy, self._other = (f"{upload_path(key)}.{end}" for end in ("small", "copy", "other"))
        self._seal = seal_path(key)
        self._answers = True
        self._handles: dict[str, str] = {}
        self._parts: list[Part] = []

    def try_calls(self) -> Iterator[TriedCall]:
        """Try each call, and remove what was stored; a service that does not answer at all is asked once."""
        yield from tried([Step("HeadBucket", self._head_bucket, "the store can be reached")])
        if not self._answers:
            return
        try:
            yield from tried([*self._objects(), *self._multipart(), *self._further()])
        finally:
            removed = list(tried(self._removals()))
            self._tidy()
        yield from removed

    def _objects(self) -> list[Step]:
        return [
            Step("PutObject", self._put, "small blobs, and ends of chunks, are stored"),
            Step("GetObject", self._get, "blobs are pulled", after="PutObject"),
            Step("GetObject, a range", self._get_range, "broken pulls go on", after="PutObject"),
            Step(
                "HeadObject", self._head, "a blob's length is compared before a push is acknowledged", after="PutObject"
            ),
            Step("HeadObject of nothing", self._head_nothing, "what is lost is told from a store that fails"),
            Step("CopyObject", self._copy_object, "a small upload becomes a blob", after="PutObject"),
        ]

    def _multipart(self) -> list[Step]:
        whole, part = "CompleteMultipartUpload", "UploadPart"
        create = "CreateMultipartUpload"
        dead = "an upload whose writer died goes on"
        return [
            Step(create, self._create, "large blobs are sent in parts"),
            Step(part, self._put_part, "large blobs are sent in parts", after=create),
            Step("UploadPartCopy", self._copy_part, "the end of the last chunk becomes the last part", after=part),
            Step(whole, self._complete, "an upload in parts becomes a blob", after="UploadPartCopy"),
            Step("GetObject over parts", self._get_over_parts, "blobs are pulled", after=whole),
            Step("UploadPartCopy, a range", self._copy_range, dead, after=whole),
            Step("AbortMultipartUpload", self._abort, "what nobody finishes gives its room back", after=create),
        ]

    def _further(self) -> list[Step]:
        swept = "a job removes what crashes left; without it, a lifecycle rule must"
        return [
            Step("ListObjectsV2", self._list, f"moorage fsck, and {swept}", after="PutObject", needed=False),
            Step("ListMultipartUploads", self._list_multiparts, swept, needed=False),
            Step("checksums", self._checksum, "what changes on its way is refused", needed=False),
            Step("If-None-Match", self._condition, "nothing: no name is used twice", after="PutObject", needed=False),
            Step("presigned URL", self._url, "storage_redirect can be used", after="PutObject", needed=False),
        ]

    def _removals(self) -> list[Step]:
        many = "collection removes many blobs at once; without it, one by one"
        return [
            Step("DeleteObjects", self._delete_batch, many, needed=False),
            Step("DeleteObject", self._delete, "what nothing keeps gives its room back"),
        ]

    def _head_bucket(self) -> str:
        try:
            self._bucket.check()
        except StorageError as error:
            self._answers = bool(code_of(error))
            raise
        return f"bucket {self._bucket.name}"

    def _put(self) -> str:
        self._bucket.put(self._small, _SMALL)
        return ""

    def _get(self) -> str:
        compare(self._read(self._small), _SMALL)
        return ""

    def _get_range(self) -> str:
        compare(self._read(self._small, "bytes=5-9"), _SMALL[5:10])
        return ""

    def _head(self) -> str:
        compare(self._bucket.size(self._small), len(_SMALL))
        return ""

    def _head_nothing(self) -> str:
        if self._bucket.exists(f"{self._small}-not"):
            raise StorageError("it tells of an object that is not there")
        return ""

    def _copy_object(self) -> str:
        self._bucket.copy(self._small, self._copy)
        compare(self._read(self._copy), _SMALL)
        return ""

    def _create(self) -> str:
        for name in (self._blob, self._aborted):
            self._handles[name] = self._bucket.create_multipart(name)
        return ""

    def _put_part(self) -> str:
        self._parts.append(self._bucket.put_part(self._blob, self._handles[self._blob], 1, bytes(MIN_PART)))
        return f"{MIN_PART >> 20} MiB"

    def _copy_part(self) -> str:
        etag = self._bucket.copy_part(self._blob, self._handles[self._blob], 2, self._small)
        self._parts.append(Part(2, len(_SMALL), etag))
        return ""

    def _complete(self) -> str:
        self._bucket.put(self._seal, b"")  # so that the object counts as an upload's
        self._bucket.complete_multipart(self._blob, self._handles[self._blob], self._parts)
        compare(self._bucket.size(self._blob), MIN_PART + len(_SMALL))
        return ""

    def _get_over_parts(self) -> str:
        compare(self._read(self._blob, f"bytes={MIN_PART - 5}-{MIN_PART + 4}"), bytes(5) + _SMALL[:5])
        return ""

    def _copy_range(self) -> str:
        last = f"bytes=0-{MIN_PART - 1}"
        self._bucket.copy_range(self._aborted, self._handles[self._aborted], 1, self._blob, last)
        return ""

    def _abort(self) -> str:
        self._bucket.abort_multipart(self._aborted, self._handles[self._aborted])
        try:
            self._bucket.call("list_parts", self._aborted, UploadId=self._handles[self._aborted])
        except StorageError:  # what is gone cannot be listed; nor by a service that has no such list
            return ""
        raise StorageError("an upload that was aborted is still there")

    def _list(self) -> str:
        if [name for name, _, _ in self._bucket.listed(self._small)] != [self._small]:
            raise StorageError("the list lacks what was stored")
        return ""

    def _list_multiparts(self) -> str:
        name = self._aborted
        handle = self._handles[name] = self._bucket.create_multipart(name)
        if (name, handle) not in {(found, one) for found, one, _ in self._bucket.listed_multiparts()}:
            raise CallMissing("the list lacks an upload that is open, as MinIO's does, which removes them by itself")
        return ""

    def _checksum(self) -> str:
        try:
            self._bucket.call("put_object", self._other, Body=_SMALL, ChecksumSHA256=_WRONG_SHA256)
        except StorageError as error:
            return _refusal(error)
        raise CallMissing("it took bytes that are not those of the checksum")

    def _condition(self) -> str:
        try:
            self._bucket.call("put_object", self._small, Body=_SMALL, IfNoneMatch="*")
        except StorageError as error:
            return _refusal(error)
        raise CallMissing("it stored what was to be stored only where nothing is")

    def _url(self) -> str:
        url = self._bucket.url_of(self._small, _TYPE, _SECONDS)
        pool = urllib3.PoolManager(ca_certs=self._ca_bundle or None, timeout=_SECONDS, retries=False)
        try:
            answer = pool.request("GET", url, headers={"Range": "bytes=5-9"})
        except HTTPError as error:  # which names the URL, and that is a secret
            raise StorageError(f"no answer to a signed URL: {type(error).__name__}") from None
        if answer.status != _PARTIAL:  # the rest of what it says repeats the signature
            code = _CODE.search(answer.data)
            raise StorageError(
                f"a signed URL is answered with {answer.status} {code[1].decode() if code else ''}".strip()
            )
        compare(answer.data, _SMALL[5:10])
        compare(answer.headers.get("Content-Type"), _TYPE)
        return ""

    def _delete_batch(self) -> str:
        self._bucket.delete_batch([self._copy, self._other])
        return ""

    def _delete(self) -> str:
        for name in (self._small, self._copy, self._other, self._blob, self._seal):
            self._bucket.delete(name)
        if self._bucket.exists(self._small):
            raise StorageError("what was removed is still there")
        return ""

    def _read(self, name: str, byte_range: str = "") -> bytes:
        body, length = self._bucket.get(name, byte_range)
        with contextlib.closing(body):
            return self._bucket.read_piece(body, length)

    def _tidy(self) -> None:
        """Abort what is still open; what came of the call was told before."""
        for name, handle in self._handles.items():
            with contextlib.suppress(StorageError):
                self._bucket.abort_multipart(name, handle)


def _refusal(error: StorageError) -> str:
    """Return the code with which the store refused what it had to; raise the error of one that gave none."""
    if isinstance(error, CallMissing) or not code_of(error):
        raise error
    return code_of(error)
