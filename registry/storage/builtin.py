"""The storage drivers that Moorage brings, offered through the same hook as any other."""

from __future__ import annotations

from collections.abc import Mapping

from registry.hooks import StorageDriver, StorageFactory, hookimpl
from registry.storage.filesystem import open_filesystem
from registry.storage.memory import open_memory


def open_s3(url: str, options: Mapping[str, str]) -> StorageDriver:
    """Return the driver for ``s3://bucket/prefix``."""
    # boto3 costs 30 MiB a process, which only a registry on S3 pays.
    from registry.storage.s3_driver import S3Storage  # noqa: PLC0415 - the reason is the line above

    return S3Storage.from_url(url, options)


@hookimpl
def storage_drivers() -> Mapping[str, StorageFactory]:
    """Offer the built-in drivers by URL scheme."""
    return {"file": open_filesystem, "memory": open_memory, "s3": open_s3}
