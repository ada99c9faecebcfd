"""The image configuration: what an image's config blob says about labels and history.

Sources: OCI image-spec 1.1, "Image Configuration"; Docker's image-spec 1.2, of which it is a subset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from registry.digest import Digest
from registry.errors import ManifestInvalid
from registry.formats._fields import (
    Object,
    as_object,
    optional_flag,
    optional_list,
    optional_object,
    optional_string,
    optional_string_map,
    optional_strings,
    refuse,
)
from registry.hooks.ports import MAX_READ, ContentMissing, ContentReader, ContentTooLarge
from registry.hooks.strict_json import decode_object
from registry.hooks.types import Descriptor

MAX_HISTORY = 4096
"""Entries of history that a config may have; every one can become a row. Runtimes stop at 127 layers."""
_SMALL = 64 * 1024


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One entry of an image's history; ``fields`` is the entry as written."""

    fields: Object
    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty: bool = False


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image configuration; ``document`` is all of it, decoded."""

    document: Object
    architecture: str
    labels: Mapping[str, str]
    history: Sequence[HistoryEntry]


def load_config(config: Descriptor | None, content: ContentReader) -> ImageConfig | None:
    """Read the config blob; None where the repository does not hold it (a sparse manifest).

    Raises :class:`ManifestInvalid` that names the blob where it is no image configuration, or too long to be read.
    """
    if config is None:
        return None
    try:
        payload = content.read(config.digest)
        return _read_small(payload) if len(payload) <= _SMALL else read_config(payload)
    except ContentMissing:
        return None
    except ContentTooLarge:
        reason = f"longer than {MAX_READ} bytes"
        raise ManifestInvalid(
            f"image config {config.digest}: {reason}", detail=_detail(config.digest, {"limit": MAX_READ})
        ) from None
    except ManifestInvalid as error:
        raise ManifestInvalid(
            f"image config {config.digest}: {error.message}", detail=_detail(config.digest, error.detail)
        ) from error


@lru_cache(maxsize=16)
def _read_small(payload: bytes) -> ImageConfig:
    """Decode a usual configuration once for all the hooks of one push, which each ask for it."""
    return read_config(payload)


def read_config(payload: bytes) -> ImageConfig:
    """Decode an image configuration; raise :class:`ManifestInvalid` for wrong types, not for what is absent."""
    document = decode_object(payload)
    optional_strings(optional_object(document, "rootfs") or {}, "diff_ids", "rootfs")
    history = optional_list(document, "history")
    if len(history) > MAX_HISTORY:
        refuse("history", f"has more than {MAX_HISTORY} entries", len(history))
    return ImageConfig(
        document=document,
        architecture=optional_string(document, "architecture"),
        labels=read_labels(document),
        history=[_read_entry(entry, f"history[{index}]") for index, entry in enumerate(history)],
    )


def read_labels(document: Object) -> Mapping[str, str]:
    """Return ``config.Labels`` of an image configuration (or of a v1 one); labels without a name are left out."""
    settings = optional_object(document, "config")
    labels = optional_string_map(settings or {}, "Labels", "config")
    return {name: value for name, value in labels.items() if name}


def _read_entry(value: object, path: str) -> HistoryEntry:
    fields = as_object(value, path)
    return HistoryEntry(
        fields=fields,
        created=optional_string(fields, "created", path),
        created_by=optional_string(fields, "created_by", path),
        author=optional_string(fields, "author", path),
        comment=optional_string(fields, "comment", path),
        empty=optional_flag(fields, "empty_layer", path),
    )


def _detail(digest: Digest, detail: object) -> dict[str, object]:
    return {"config": str(digest), **(detail if isinstance(detail, dict) else {})}
