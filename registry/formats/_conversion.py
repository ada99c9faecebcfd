"""Conversions of image manifests, for clients that do not know the stored format.

Between Docker and OCI only media types differ; the config and layers stay the same blobs, because Docker's config is
a superset of OCI's. Schema 1 has no config: history and settings move into the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from registry.errors import ManifestInvalid
from registry.formats._fields import Object
from registry.formats._image_config import ImageConfig, read_config
from registry.formats._images import fields_of, is_self_contained, layers_of, parse_image, steps_of
from registry.formats._jws import attach
from registry.formats._legacy import MAX_STEPS, docker_ids, dump, identified, v1_document
from registry.formats._steps import Step
from registry.hooks.ports import ContentMissing, ContentReader, ContentTooLarge
from registry.hooks.types import ConversionRequest, ParsedManifest

SIGNED_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
UNSIGNED_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"

_DEFAULT_ARCHITECTURE = "amd64"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The media types of one family; ``layers`` maps what a layer is to its media type."""

    manifest: str
    config: str
    layers: Mapping[str, str]


DOCKER = Dialect(
    manifest="application/vnd.docker.distribution.manifest.v2+json",
    config="application/vnd.docker.container.image.v1+json",
    layers={
        "tar": "application/vnd.docker.image.rootfs.diff.tar",
        "gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "foreign tar": "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "foreign gzip": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    },
)
OCI = Dialect(
    manifest="application/vnd.oci.image.manifest.v1+json",
    config="application/vnd.oci.image.config.v1+json",
    layers={
        "tar": "application/vnd.oci.image.layer.v1.tar",
        "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
        "foreign tar": "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "foreign gzip": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    },
)


def convert_image(
    manifest: ParsedManifest, content: ContentReader, request: ConversionRequest, source: Dialect
) -> ParsedManifest | None:
    """Convert an image of ``source``; None for other artifacts, and where something would be lost."""
    if not manifest.is_image:
        return None
    if request.wanted in {SIGNED_SCHEMA1, UNSIGNED_SCHEMA1}:
        return _to_schema1(manifest, content, request, source)
    for target in (DOCKER, OCI):
        if request.wanted == target.manifest and target is not source:
            return _translate(manifest, source, target)
    return None


def pack_schema1(payload: bytes, request: ConversionRequest) -> ParsedManifest:
    """Return unsigned schema 1 text as the manifest that ``request`` wants: signed, or as it is."""
    if request.wanted == UNSIGNED_SCHEMA1:
        return ParsedManifest(payload=payload, media_type=UNSIGNED_SCHEMA1, digest_bytes=payload, is_image=True)
    signed = attach(payload, request.sign(payload))
    return ParsedManifest(payload=signed, media_type=SIGNED_SCHEMA1, digest_bytes=payload, is_image=True)


def _translate(manifest: ParsedManifest, source: Dialect, target: Dialect) -> ParsedManifest | None:
    """Exchange media types; None where a layer (zstd, encrypted) has no name in the other family."""
    types = {source.layers[kind]: target.layers[kind] for kind in source.layers}
    types[source.config] = target.config
    if any(blob.descriptor.media_type not in types for blob in manifest.blobs):
        return None
    document = fields_of(manifest)
    translated = {
        "schemaVersion": document["schemaVersion"],
        "mediaType": target.manifest,
        **{key: value for key, value in document.items() if key not in {"schemaVersion", "mediaType"}},
        "config": _retyped(document["config"], types),
        "layers": [_retyped(layer, types) for layer in document["layers"]],
    }
    payload = json.dumps(translated, ensure_ascii=False, separators=(",", ":")).encode()
    return parse_image(target.manifest, payload, stated=True)


def _retyped(descriptor: Object, types: Mapping[str, str]) -> Object:
    return {**descriptor, "mediaType": types[descriptor["mediaType"]]}


def _to_schema1(
    manifest: ParsedManifest, content: ContentReader, request: ConversionRequest, source: Dialect
) -> ParsedManifest | None:
    """Write schema 1; None for layers that its clients cannot unpack or fetch, and without a readable config."""
    known = {source.layers["tar"], source.layers["gzip"]}
    if not is_self_contained(manifest) or any(layer.media_type not in known for layer in layers_of(manifest)):
        return None
    assert manifest.config is not None  # noqa: S101 - the parser requires it of every image
    try:
        text = content.read(manifest.config.digest)
        config = read_config(text)
    except (ContentMissing, ContentTooLarge, ManifestInvalid):
        return None  # the stored manifest is served; what is wrong with its config was said at the push
    steps = steps_of(manifest, config)
    if len(steps) > MAX_STEPS:
        return None
    return pack_schema1(_write_schema1(steps, config, text, request), request)


def _write_schema1(steps: list[Step], config: ImageConfig, text: bytes, request: ConversionRequest) -> bytes:
    ids = docker_ids(steps, text)
    history = []
    for position, (step, image_id) in enumerate(zip(steps, ids, strict=True)):
        parent = ids[position - 1] if position else None
        document = v1_document(step, config if step is steps[-1] else None)
        history.append({"v1Compatibility": dump(identified(document, image_id, parent))})
    document = {
        "schemaVersion": 1,
        "name": request.repository,
        "tag": request.tag,
        "architecture": config.architecture or _DEFAULT_ARCHITECTURE,
        "fsLayers": [{"blobSum": str(step.blob)} for step in reversed(steps)],
        "history": history[::-1],
    }
    return json.dumps(document, indent=3, ensure_ascii=False).encode()
