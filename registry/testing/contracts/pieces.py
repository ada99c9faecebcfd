"""What tests of storage drivers share: keys, bytes, and storing and fetching in one call."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from dataclasses import asdict

from registry.hooks import Part, StorageDriver, UploadState

__all__ = ["MIB", "append", "fetch", "new_key", "pattern", "store", "through_database"]

MIB = 1024 * 1024


def new_key() -> str:
    """Return a key that was never used."""
    return uuid.uuid4().hex


def pattern(length: int, seed: int = 0) -> bytes:
    """Return bytes of which no two megabytes are alike, so that a piece out of place is seen."""
    block = hashlib.sha256(str(seed).encode()).digest() * 2048
    blocks = b"".join(number.to_bytes(8, "big") + block[8:] for number in range(length // len(block) + 1))
    return blocks[:length]


def append(driver: StorageDriver, state: UploadState, *chunks: bytes) -> UploadState:
    """Write the chunks in one session."""
    writer = driver.open_upload(state, sum(map(len, chunks)))
    for chunk in chunks:
        writer.write(chunk)
    return writer.finish()


def store(driver: StorageDriver, data: bytes) -> str:
    """Store the data and return its key."""
    state = append(driver, UploadState(new_key()), data)
    driver.complete_upload(state)
    return state.key


def fetch(driver: StorageDriver, key: str, start: int = 0, length: int | None = None) -> bytes:
    """Return a blob's bytes, or a range of them."""
    with contextlib.closing(driver.read(key, start, length)) as pieces:
        return b"".join(pieces)


def through_database(state: UploadState) -> UploadState:
    """Return the state as another machine would get it."""
    values = json.loads(json.dumps(asdict(state)))
    return UploadState(
        key=values["key"],
        size=values["size"],
        handle=values["handle"],
        parts=tuple(Part(**part) for part in values["parts"]),
        tail=Part(**values["tail"]) if values["tail"] else None,
    )
