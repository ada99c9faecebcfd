"""One bucket of an S3 service: the calls that the driver needs, and what their failures mean.

With :mod:`registry.storage.s3_client` the only one that imports boto3, and loaded only where S3 is used.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from registry.batches import batched
from registry.hooks import KeyMissing, Part, StorageError, StorageFull
from registry.setting_values import hide_password
from registry.storage.s3_client import OPTIONS, TooLate, make_client
from registry.storage.trials import CallMissing

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_MISSING = {"NoSuchKey", "NoSuchUpload", "InvalidPart"}
_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_UNKNOWN_CALL = {
    "MethodNotAllowed",
    "MissingContentMD5",  # of a service that knows the call from before the newer checksums
    "NotImplemented",
    "UnsupportedOperation",
    "XNotImplemented",
}
_INSUFFICIENT_STORAGE, _NOT_IMPLEMENTED = 507, 501
_BATCH = 1000
"""So many keys S3 removes in one call."""


class Bucket:
    """The objects under one prefix of a bucket. Names are given and returned without the prefix."""

    def __init__(self, client: S3Client, name: str, prefix: str, public: S3Client | None = None) -> None:
        """Speak through ``client``; ``public`` signs URLs for clients that know the service by another address."""
        self.name = name
        self._prefix = prefix
        self._shared_client = client
        self._public = public or client
        self._takes_batches = True
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def put(self, name: str, data: bytes | bytearray) -> None:
        """Store a small object."""
        with self._reporting(f"store {name}"):
            self._client.put_object(Bucket=self.name, Key=self._prefix + name, Body=cast("bytes", data))

    def get(self, name: str, byte_range: str = "") -> tuple[StreamingBody, int]:
        """Return an object's body, which has to be closed, and the number of bytes that it announces."""
        with self._reporting(f"read {name}"):
            if byte_range:
                answer = self._client.get_object(Bucket=self.name, Key=self._prefix + name, Range=byte_range)
            else:
                answer = self._client.get_object(Bucket=self.name, Key=self._prefix + name)
        return answer["Body"], answer["ContentLength"]

    def read_piece(self, body: StreamingBody, length: int) -> bytes:
        """Return up to ``length`` bytes of a body; nothing at its end."""
        with self._reporting("read a body"):
            return body.read(length)

    def size(self, name: str) -> int:
        """Return an object's length; raises KeyMissing."""
        try:
            with self._reporting(f"look at {name}"):
                return self._client.head_object(Bucket=self.name, Key=self._prefix + name)["ContentLength"]
        except KeyMissing:
            # HEAD says 404 of a missing bucket too, and that must not look like lost objects.
            self.check()
            raise

    def exists(self, name: str) -> bool:
        """Tell whether there is an object."""
        try:
            with self._reporting(f"look at {name}"):
                self._client.head_object(Bucket=self.name, Key=self._prefix + name)
        except KeyMissing:
            return False
        return True

    def copy(self, source: str, target: str) -> None:
        """Copy an object (5 GiB at most) inside the store."""
        with self._reporting(f"copy {source}"):
            self._client.copy_object(Bucket=self.name, Key=self._prefix + target, CopySource=self._source(source))

    def delete(self, name: str) -> None:
        """Remove an object, or nothing."""
        with contextlib.suppress(KeyMissing), self._reporting(f"remove {name}"):
            self._client.delete_object(Bucket=self.name, Key=self._prefix + name)

    def delete_all(self, names: Sequence[str]) -> None:
        """Remove objects, many in one call where the service can."""
        for some in batched(names, _BATCH):
            if not self._delete_batch(some):
                for name in some:
                    self.delete(name)

    def delete_batch(self, names: Sequence[str]) -> None:
        """Remove at most 1,000 objects in one call; raises StorageError, also where one of them stays."""
        keys: list[ObjectIdentifierTypeDef] = [{"Key": self._prefix + name} for name in names]
        with self._reporting(f"remove {len(names)} objects"):
            answer = self._client.delete_objects(Bucket=self.name, Delete={"Objects": keys, "Quiet": True})
        for error in answer.get("Errors", ()):
            raise StorageError(f"cannot remove {error.get('Key')}: {error.get('Code')} {error.get('Message', '')}")

    def _delete_batch(self, names: Sequence[str]) -> bool:
        """Tell whether the objects went; a service that refuses such a call altogether is not asked again."""
        if self._takes_batches:
            try:
                self.delete_batch(names)
            except StorageError as error:
                self._takes_batches = not isinstance(error, CallMissing)
            else:
                return True
        return False

    def listed(self, prefix: str = "") -> Iterator[tuple[str, int, int]]:
        """Yield every object's name, length in bytes and time of change in milliseconds, a page at a time."""
        pages = self._client.get_paginator("list_objects_v2")
        with self._reporting(f"list {prefix or 'all'}"):
            for page in pages.paginate(Bucket=self.name, Prefix=self._prefix + prefix):
                for found in page.get("Contents", ()):
                    changed = round(found["LastModified"].timestamp() * 1000)
                    yield found["Key"].removeprefix(self._prefix), found["Size"], changed

    def listed_multiparts(self) -> Iterator[tuple[str, str, int]]:
        """Yield name, id and time of start in milliseconds of every multipart upload that is open."""
        pages = self._client.get_paginator("list_multipart_uploads")
        with self._reporting("list uploads"):
            for page in pages.paginate(Bucket=self.name, Prefix=self._prefix):
                for found in page.get("Uploads", ()):
                    started = round(found["Initiated"].timestamp() * 1000)
                    yield found["Key"].removeprefix(self._prefix), found["UploadId"], started

    def url_of(self, name: str, content_type: str, seconds: int) -> str:
        """Return a URL that gives an object as ``content_type`` to whoever has it, for ``seconds``."""
        named = {"Bucket": self.name, "Key": self._prefix + name, "ResponseContentType": content_type}
        with self._reporting(f"sign a URL of {name}"):
            return self._public.generate_presigned_url("get_object", Params=named, ExpiresIn=seconds)

    def create_multipart(self, name: str) -> str:
        """Start a multipart upload and return its id."""
        with self._reporting(f"start {name}"):
            return self._client.create_multipart_upload(Bucket=self.name, Key=self._prefix + name)["UploadId"]

    def put_part(self, name: str, handle: str, number: int, data: bytes | bytearray) -> Part:
        """Send a part."""
        with self._reporting(f"store part {number} of {name}"):
            answer = self._client.upload_part(
                Bucket=self.name,
                Key=self._prefix + name,
                UploadId=handle,
                PartNumber=number,
                Body=cast("bytes", data),  # the SDK's types leave out the bytearray that it takes
            )
        return Part(number, len(data), answer["ETag"])

    def copy_part(self, name: str, handle: str, number: int, source: str) -> str:
        """Make a part of a whole object, inside the store, and return its etag."""
        with self._reporting(f"copy {source} to {name}"):
            answer = self._client.upload_part_copy(
                Bucket=self.name,
                Key=self._prefix + name,
                UploadId=handle,
                PartNumber=number,
                CopySource=self._source(source),
            )
        return answer["CopyPartResult"]["ETag"]

    def copy_range(self, name: str, handle: str, number: int, source: str, byte_range: str) -> str:
        """Make a part of a range of an object, which S3 allows where the object is over 5 MiB."""
        with self._reporting(f"copy {byte_range} of {source} to {name}"):
            answer = self._client.upload_part_copy(
                Bucket=self.name,
                Key=self._prefix + name,
                UploadId=handle,
                PartNumber=number,
                CopySource=self._source(source),
                CopySourceRange=byte_range,
            )
        return answer["CopyPartResult"]["ETag"]

    def complete_multipart(self, name: str, handle: str, parts: list[Part]) -> None:
        """Make the object of these parts; others that were sent are dropped."""
        with self._reporting(f"complete {name}"):
            self._client.complete_multipart_upload(
                Bucket=self.name,
                Key=self._prefix + name,
                UploadId=handle,
                MultipartUpload={"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]},
            )

    def abort_multipart(self, name: str, handle: str) -> None:
        """Drop a multipart upload and its parts, or nothing."""
        with contextlib.suppress(KeyMissing), self._reporting(f"abort {name}"):
            self._client.abort_multipart_upload(Bucket=self.name, Key=self._prefix + name, UploadId=handle)

    def check(self) -> None:
        """Raise StorageError where the bucket cannot be reached."""
        try:
            with self._reporting(f"reach bucket {self.name}"):
                self._client.head_bucket(Bucket=self.name)
        except KeyMissing as error:
            raise StorageError(f"bucket {self.name} does not exist") from error.__cause__

    def call(self, operation: str, name: str, **named: object) -> None:
        """Make a call about one object which the driver itself has no use for."""
        with self._reporting(f"{operation} {name}"):
            getattr(self._client, operation)(Bucket=self.name, Key=self._prefix + name, **named)

    def _source(self, name: str) -> str:
        return f"{self.name}/{self._prefix}{name}"

    @property
    def _client(self) -> S3Client:
        """The client; a forked child shares its memory, but not its connections."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._shared_client.close()
                    self._pid = os.getpid()
        return self._shared_client

    @contextlib.contextmanager
    def _reporting(self, doing: str) -> Iterator[None]:
        """Turn what the SDK raises into a storage error with the reason."""
        try:
            yield
        except ClientError as error:
            raise _failure(doing, error) from error
        except (BotoCoreError, HTTPError, OSError, TooLate) as error:
            raise StorageError(f"cannot {doing}: {error}") from error


def code_of(error: StorageError) -> str:
    """Return the service's own code of a failure, or nothing where it gave no answer."""
    cause = error.__cause__
    return cause.response.get("Error", {}).get("Code", "") if isinstance(cause, ClientError) else ""


def _failure(doing: str, error: ClientError) -> StorageError:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    reason = f"cannot {doing}: {error}"
    # HEAD has no body to hold a code, and its 404 is given as one.
    if code in _MISSING or code == "404":
        return KeyMissing(reason)
    if code in _FULL or status == _INSUFFICIENT_STORAGE:
        return StorageFull(reason)
    return CallMissing(reason) if code in _UNKNOWN_CALL or status == _NOT_IMPLEMENTED else StorageError(reason)


def open_bucket(url: str, options: Mapping[str, str]) -> Bucket:
    """Return the bucket of ``s3://bucket/prefix``."""
    parts = urlsplit(url)
    if not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"an S3 storage URL is s3://bucket or s3://bucket/prefix, not {hide_password(url)}")
    if unknown := set(options) - OPTIONS:
        raise ValueError(f"S3 storage does not know the options {', '.join(sorted(unknown))}")
    prefix = parts.path.strip("/")
    public_url = options.get("public_endpoint_url", "")
    public = make_client(options, public_url) if public_url else None
    return Bucket(make_client(options), parts.netloc, f"{prefix}/" if prefix else "", public)
