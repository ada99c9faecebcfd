"""What every driver shares: how a key looks, where its bytes lie, and how much is read at a time."""

from __future__ import annotations

import re

PIECE = 1024 * 1024
"""The longest piece that reading yields, in bytes."""

SHARDS = tuple(f"{number:02x}" for number in range(256))

_KEY = re.compile(r"[0-9a-f]{32}")


def check_key(key: str) -> str:
    """Return the key, which becomes part of a path; raise ValueError where it is not one."""
    if not is_key(key):
        raise ValueError(f"a storage key is 32 lower-case hex characters, not {key!r}")
    return key


def is_key(text: str) -> bool:
    """Tell whether ``text`` is a key."""
    return _KEY.fullmatch(text) is not None


def blob_path(key: str) -> str:
    """Return where a completed key lies. Files and S3 use the same layout, so a plain copy moves a store."""
    return f"blobs/{check_key(key)[:2]}/{key}"


def upload_path(key: str) -> str:
    """Return where an upload lies while it is open (on S3: what the names of its objects start with)."""
    return f"uploads/{check_key(key)}"
