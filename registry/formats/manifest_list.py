"""Docker's manifest lists: "Image Manifest Version 2, Schema 2", "Manifest List"."""

from __future__ import annotations

from collections.abc import Mapping

from registry.formats._indexes import LIST, convert_index, labels, parse_index
from registry.hooks.ports import ContentReader
from registry.hooks.specs import hookimpl
from registry.hooks.types import ConversionRequest, ParsedManifest


@hookimpl
def manifest_media_types() -> list[str]:
    """Name the one media type."""
    return [LIST]


@hookimpl
def parse_manifest(media_type: str, payload: bytes) -> ParsedManifest:
    """Read the list; Docker requires it to state its own type."""
    return parse_index(media_type, payload, stated=True)


@hookimpl
def manifest_labels(manifest: ParsedManifest) -> Mapping[str, str]:
    """Return the list's own annotations."""
    return labels(manifest)


@hookimpl
def convert_manifest(
    manifest: ParsedManifest, content: ContentReader, request: ConversionRequest
) -> ParsedManifest | None:
    """Hand out the linux/amd64 child."""
    return convert_index(manifest, content, request)
