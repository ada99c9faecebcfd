"""Content descriptors and the head that all schema 2 documents share.

Sources: OCI image-spec 1.1 (content descriptors, image index, image manifest); Docker's "Image Manifest Version 2,
Schema 2", whose descriptors are the same without ``data``, ``artifactType`` and ``annotations``.
"""

from __future__ import annotations

import base64
import binascii

from registry.digest import Digest
from registry.formats._fields import (
    Object,
    as_object,
    join,
    optional_object,
    optional_string,
    optional_string_map,
    optional_strings,
    refuse,
    refuse_other_spellings,
    required,
    required_digest,
    required_media_type,
    required_object,
    required_size,
    required_string,
)
from registry.hooks.strict_json import decode_object
from registry.hooks.types import Descriptor, Platform

SCHEMA_VERSION = 2

TOP_FIELDS = (
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "fsLayers",
    "history",
    "signatures",
)
_DESCRIPTOR_FIELDS = (
    "mediaType",
    "digest",
    "size",
    "urls",
    "annotations",
    "data",
    "artifactType",
    "platform",
)
_PLATFORM_FIELDS = ("os", "architecture", "variant", "os.version", "os.features", "features")


def read_head(media_type: str, payload: bytes, *, stated: bool) -> Object:
    """Decode a schema 2 document and check what is at its top.

    Its ``mediaType`` must be that of the request; ``stated`` says whether it must be there at all.
    """
    document = decode_object(payload)
    refuse_other_spellings(document, TOP_FIELDS)
    version = required(document, "schemaVersion")
    if type(version) is not int or version != SCHEMA_VERSION:
        refuse("schemaVersion", f"must be {SCHEMA_VERSION}", version)
    if stated or "mediaType" in document:
        check_media_type(document, media_type)
    return document


def check_media_type(document: Object, media_type: str) -> None:
    """Refuse a body that states another type than its Content-Type (CVE-2021-41190)."""
    if required_string(document, "mediaType") != media_type:
        refuse("mediaType", f"differs from the Content-Type {media_type}", document["mediaType"])


def read_descriptor(value: object, path: str) -> Descriptor:
    """Read a descriptor at ``path``."""
    fields = as_object(value, path)
    refuse_other_spellings(fields, _DESCRIPTOR_FIELDS, path)
    descriptor = Descriptor(
        media_type=required_media_type(fields, "mediaType", path),
        digest=required_digest(fields, "digest", path),
        size=required_size(fields, "size", path),
        annotations=optional_string_map(fields, "annotations", path),
        artifact_type=read_artifact_type(fields, path),
        platform=_read_platform(fields, path),
    )
    optional_strings(fields, "urls", path)
    _check_data(fields, descriptor, path)
    return descriptor


def read_subject(document: Object) -> Descriptor | None:
    """Read the descriptor of the manifest that this one is about."""
    if "subject" not in document:
        return None
    return read_descriptor(required_object(document, "subject"), "subject")


def read_artifact_type(fields: Object, path: str = "") -> str:
    """Read ``artifactType``, empty where there is none."""
    return required_media_type(fields, "artifactType", path) if "artifactType" in fields else ""


def _read_platform(fields: Object, path: str) -> Platform | None:
    platform = optional_object(fields, "platform", path)
    if platform is None:
        return None
    path = join(path, "platform")
    refuse_other_spellings(platform, _PLATFORM_FIELDS, path)
    optional_string(platform, "os.version", path)
    optional_strings(platform, "os.features", path)
    optional_strings(platform, "features", path)
    return Platform(
        os=required_string(platform, "os", path),
        architecture=required_string(platform, "architecture", path),
        variant=optional_string(platform, "variant", path),
    )


def _check_data(fields: Object, descriptor: Descriptor, path: str) -> None:
    """Compare embedded content with its descriptor: a client may use it in place of the blob."""
    if fields.get("data") is None:
        return
    path, text = join(path, "data"), required_string(fields, "data", path)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        refuse(path, "must be base64", text)
    if len(data) != descriptor.size:
        refuse(path, f"is not of the descriptor's size {descriptor.size}", len(data))
    if Digest.of(data, descriptor.digest.algorithm) != descriptor.digest:
        refuse(path, f"is not the content of {descriptor.digest}")
