"""The plugin API: everything a plugin may import from Moorage.

A plugin marks its functions with :data:`hookimpl` and is found through the entry-point group ``moorage``.
"""

from __future__ import annotations

from registry.digest import Digest
from registry.errors import Denied, ManifestInvalid
from registry.hooks.admission import ManifestPush, TagChange, TagPull
from registry.hooks.context import (
    JobProgress,
    ManifestDescription,
    PluginContext,
    PluginJob,
    PluginStore,
    RepositoryReader,
    StoreConflict,
    StoredValue,
    TagDescription,
    TagWriter,
)
from registry.hooks.egress import Egress, EgressFailed, EgressRefused, EgressResponse
from registry.hooks.events import Event
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
    EmitEvent,
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
from registry.hooks.version import API_VERSION

__all__ = [
    "API_VERSION",
    "BlobReference",
    "ContentMissing",
    "ContentReader",
    "ContentTooLarge",
    "ConversionRequest",
    "Denied",
    "Descriptor",
    "Digest",
    "Effect",
    "Egress",
    "EgressFailed",
    "EgressRefused",
    "EgressResponse",
    "EmitEvent",
    "Event",
    "ExpireTag",
    "JobProgress",
    "KeepLast",
    "KeyMissing",
    "LabelAction",
    "LabelValueRefused",
    "Layer",
    "LegacyImage",
    "ListsKeys",
    "ManifestDescription",
    "ManifestInvalid",
    "ManifestPush",
    "OpensFiles",
    "ParsedManifest",
    "Part",
    "Pin",
    "Platform",
    "PluginContext",
    "PluginJob",
    "PluginStore",
    "PrefersChunks",
    "ProtectTag",
    "RemovesMany",
    "RepositoryReader",
    "SignatureParts",
    "StorageDriver",
    "StorageError",
    "StorageFactory",
    "StorageFull",
    "StorageReadOnly",
    "StoreConflict",
    "StoredKey",
    "StoredValue",
    "TagChange",
    "TagDescription",
    "TagPull",
    "TagWriter",
    "UploadState",
    "UploadWriter",
    "decode_object",
    "hookimpl",
]
