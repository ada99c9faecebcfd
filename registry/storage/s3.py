"""One bucket of an S3 service: the calls that the driver needs, and what their failures mean.

The only module that imports boto3, and loaded only where S3 is used.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from registry.hooks import KeyMissing, Part, StorageError, StorageFull
from registry.setting_values import hide_password

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

_OPTIONS = {
    "access_key_id",
    "addressing_style",
    "ca_bundle",
    "endpoint_url",
    "region",
    "secret_access_key",
    "session_token",
}
_MISSING = {"NoSuchKey", "NoSuchUpload", "InvalidPart"}
_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_INSUFFICIENT_STORAGE = 507


class Bucket:
    """The objects under one prefix of a bucket. Names are given and returned without the prefix."""

    def __init__(self, client: S3Client, name: str, prefix: str) -> None:
        self.name = name
        self._prefix = prefix
        self._shared_client = client
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

    def copy(self, source: str, target: str) -> None:
        """Copy an object (5 GiB at most) inside the store."""
        with self._reporting(f"copy {source}"):
            self._client.copy_object(Bucket=self.name, Key=self._prefix + target, CopySource=self._source(source))

    def delete(self, name: str) -> None:
        """Remove an object, or nothing."""
        with contextlib.suppress(KeyMissing), self._reporting(f"remove {name}"):
            self._client.delete_object(Bucket=self.name, Key=self._prefix + name)

    def listed(self) -> Iterator[tuple[str, int, int]]:
        """Yield every object's name, length in bytes and time of change in milliseconds, a page at a time."""
        pages = self._client.get_paginator("list_objects_v2")
        with self._reporting("list all"):
            for page in pages.paginate(Bucket=self.name, Prefix=self._prefix):
                for found in page.get("Contents", ()):
                    changed = round(found["LastModified"].timestamp() * 1000)
                    yield found["Key"].removeprefix(self._prefix), found["Size"], changed

    def listed_multiparts(self) -> Iterator[tuple[str, int]]:
        """Yield name and time of start in milliseconds of every multipart upload that is open."""
        pages = self._client.get_paginator("list_multipart_uploads")
        with self._reporting("list uploads"):
            for page in pages.paginate(Bucket=self.name, Prefix=self._prefix):
                for found in page.get("Uploads", ()):
                    yield found["Key"].removeprefix(self._prefix), round(found["Initiated"].timestamp() * 1000)

    def names(self, prefix: str) -> list[str]:
        """List the objects whose names start with ``prefix``."""
        pages = self._client.get_paginator("list_objects_v2")
        with self._reporting(f"list {prefix}"):
            return [
                found["Key"].removeprefix(self._prefix)
                for page in pages.paginate(Bucket=self.name, Prefix=self._prefix + prefix)
                for found in page.get("Contents", ())
            ]

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

    def multiparts(self, name: str) -> list[str]:
        """List the ids of the multipart uploads that are open for an object."""
        pages = self._client.get_paginator("list_multipart_uploads")
        with self._reporting(f"list uploads of {name}"):
            return [
                found["UploadId"]
                for page in pages.paginate(Bucket=self.name, Prefix=self._prefix + name)
                for found in page.get("Uploads", ())
            ]

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
            raise StorageError(f"bucket {self.name} does not exist") from error

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
        except (BotoCoreError, HTTPError, OSError) as error:
            raise StorageError(f"cannot {doing}: {error}") from error


def _failure(doing: str, error: ClientError) -> StorageError:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    reason = f"cannot {doing}: {error}"
    # HEAD has no body to hold a code, and its 404 is given as one.
    if code in _MISSING or code == "404":
        return KeyMissing(reason)
    if code in _FULL or status == _INSUFFICIENT_STORAGE:
        return StorageFull(reason)
    return StorageError(reason)


def open_bucket(url: str, options: Mapping[str, str]) -> Bucket:
    """Return the bucket of ``s3://bucket/prefix``."""
    parts = urlsplit(url)
    if not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"an S3 storage URL is s3://bucket or s3://bucket/prefix, not {hide_password(url)}")
    if unknown := set(options) - _OPTIONS:
        raise ValueError(f"S3 storage does not know the options {', '.join(sorted(unknown))}")
    prefix = parts.path.strip("/")
    return Bucket(_make_client(options), parts.netloc, f"{prefix}/" if prefix else "")


def _addressing(options: Mapping[str, str]) -> Literal["auto", "path", "virtual"]:
    """Return where the bucket's name goes: into the path for services that are not AWS, unless told."""
    match options.get("addressing_style", ""):
        case "":
            return "path" if options.get("endpoint_url") else "auto"
        case "auto" | "path" | "virtual" as style:
            return style
        case other:
            raise ValueError(f"addressing_style is auto, path or virtual, not {other}")


def _make_client(options: Mapping[str, str]) -> S3Client:
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": _addressing(options)},
        # What is not AWS often does not know the newer checksums; the signature or TLS guards the bytes.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 4},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=64,
        tcp_keepalive=True,
    )
    try:
        # A session of our own: boto3's default one is global, and not safe for threads.
        return boto3.session.Session().client(
            "s3",
            endpoint_url=options.get("endpoint_url") or None,
            region_name=options.get("region") or None,
            aws_access_key_id=options.get("access_key_id") or None,
            aws_secret_access_key=options.get("secret_access_key") or None,
            aws_session_token=options.get("session_token") or None,
            verify=options.get("ca_bundle") or None,
            config=config,
        )
    except BotoCoreError as error:
        raise ValueError(f"S3 storage cannot be set up: {error}") from error
