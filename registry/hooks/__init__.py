"""The plugin API: everything a plugin may import from Moorage.

A plugin marks its functions with :data:`hookimpl` and is found through the entry-point group ``moorage``.
"""

from __future__ import annotations

from registry.digest import Digest
from registry.errors import ManifestInvalid
from registry.hooks.ports import (
    ContentMissing,
    ContentReader,
    ContentTooLarge,
    KeyMissing,
    ListsKeys,
    OpensFiles,
    Part,
    PrefersChunks,
    RemovesMany,
    StorageDriver,
    StorageError,
    StorageFactory,
    StorageFull,
    StorageReadOnly,
    StoredKey,
    UploadState,
    UploadWriter,
)
from registry.hooks.specs import hookimpl
from registry.hooks.strict_json import decode_object
from registry.hooks.types import (
    BlobReference,
    ConversionRequest,
    Descriptor,
    Effect,
    ExpireTag,
    KeepLast,
    LabelAction,
    LabelValueRefused,
    Layer,
    LegacyImage,
    ParsedManifest,
    Pin,
    Platform,
    ProtectTag,
    SignatureParts,
)

__all__ = [
    "BlobReference",
    "ContentMissing",
    "ContentReader",
    "ContentTooLarge",
    "ConversionRequest",
    "Descriptor",
    "Digest",
    "Effect",
    "ExpireTag",
    "KeepLast",
    "KeyMissing",
    "LabelAction",
    "LabelValueRefused",
    "Layer",
    "LegacyImage",
    "ListsKeys",
    "ManifestInvalid",
    "OpensFiles",
    "ParsedManifest",
    "Part",
    "Pin",
    "Platform",
    "PrefersChunks",
    "ProtectTag",
    "RemovesMany",
    "SignatureParts",
    "StorageDriver",
    "StorageError",
    "StorageFactory",
    "StorageFull",
    "StorageReadOnly",
    "StoredKey",
    "UploadState",
    "UploadWriter",
    "decode_object",
    "hookimpl",
]
