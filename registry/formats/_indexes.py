"""Indexes, which Docker (manifest lists) and OCI share.

Sources: OCI image-spec 1.1, "Image Index"; Docker's "Image Manifest Version 2, Schema 2", "Manifest List";
BuildKit's "Image Attestation Storage" (the annotation that marks attestations).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from registry.formats._descriptors import read_artifact_type, read_descriptor, read_head, read_subject
from registry.formats._fields import optional_string_map, refuse_fields, required_list
from registry.hooks.ports import ContentMissing, ContentReader
from registry.hooks.types import ConversionRequest, Descriptor, ParsedManifest, Platform

LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"

_ATTESTATION = ("vnd.docker.reference.type", "attestation-manifest")
_NOWHERE = Platform("unknown", "unknown")
_OTHER_KINDS = ("config", "layers", "fsLayers", "history", "signatures")


def parse_index(media_type: str, payload: bytes, *, stated: bool) -> ParsedManifest:
    """Read an index; ``stated`` says whether its own ``mediaType`` is required.

    Entries may lack a platform in both families, although Docker's text requires it: BuildKit writes its registry
    cache as a list of layers. Attestations are marked ``auxiliary``: only what runs nowhere is one, whatever its
    annotations say.
    """
    document = read_head(media_type, payload, stated=stated)
    refuse_fields(document, _OTHER_KINDS, "an index")
    entries = required_list(document, "manifests")
    return ParsedManifest(
        payload=payload,
        media_type=media_type,
        digest_bytes=payload,
        children=[_read_entry(entry, f"manifests[{index}]") for index, entry in enumerate(entries)],
        subject=read_subject(document),
        artifact_type=read_artifact_type(document),
        annotations=optional_string_map(document, "annotations"),
    )


def labels(manifest: ParsedManifest) -> Mapping[str, str]:
    """Return the index's own annotations; those without a name are left out."""
    return {name: value for name, value in manifest.annotations.items() if name}


def convert_index(
    manifest: ParsedManifest, content: ContentReader, request: ConversionRequest
) -> ParsedManifest | None:
    """Return the linux/amd64 child, whatever its type, where the client wants no index.

    The child may be of another type than ``request.wanted``, or an index that holds the image: its own format is
    asked next. An index is never rewritten as one of the other family, because its entries would keep their types.
    """
    if request.wanted in {LIST, INDEX}:
        return None
    return next(_candidates(manifest, content), None)


def _candidates(manifest: ParsedManifest, content: ContentReader) -> Iterator[ParsedManifest]:
    """Yield children that a linux/amd64 machine runs, those without a variant first, then nested indexes."""
    images = [entry for entry in manifest.children if _is_default(entry)]
    for entry in sorted(images, key=lambda entry: bool(entry.platform and entry.platform.variant)):
        child = _load(entry, content)
        if child is not None:
            yield child
    for entry in manifest.children:
        child = _load(entry, content) if entry.platform is None else None
        if child is not None and child.children:
            yield child


def _is_default(entry: Descriptor) -> bool:
    platform = entry.platform
    return platform is not None and (platform.os, platform.architecture) == ("linux", "amd64")


def _load(entry: Descriptor, content: ContentReader) -> ParsedManifest | None:
    try:
        return content.manifest(entry.digest)
    except ContentMissing:
        return None


def _read_entry(value: object, path: str) -> Descriptor:
    entry = read_descriptor(value, path)
    return replace(entry, auxiliary=entry.platform == _NOWHERE and _ATTESTATION in entry.annotations.items())
