"""OCI image indexes, nested ones included (OCI image-spec 1.1, "Image Index")."""

from __future__ import annotations

from collections.abc import Mapping

from registry.formats._indexes import INDEX, convert_index, labels, parse_index
from registry.hooks.ports import ContentReader
from registry.hooks.specs import hookimpl
from registry.hooks.types import ConversionRequest, ParsedManifest


@hookimpl
def manifest_media_types() -> list[str]:
    """Name the one media type."""
    return [INDEX]


@hookimpl
def parse_manifest(media_type: str, payload: bytes) -> ParsedManifest:
    """Read the index; it may leave out its own type."""
    return parse_index(media_type, payload, stated=False)


@hookimpl
def manifest_labels(manifest: ParsedManifest) -> Mapping[str, str]:
    """Return the index's own annotations."""
    return labels(manifest)


@hookimpl
def convert_manifest(
    manifest: ParsedManifest, content: ContentReader, request: ConversionRequest
) -> ParsedManifest | None:
    """Hand out the linux/amd64 child."""
    return convert_index(manifest, content, request)
