"""Docker's image manifests: "Image Manifest Version 2, Schema 2"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from registry.digest import Digest
from registry.formats import _images
from registry.formats._conversion import DOCKER, convert_image
from registry.hooks.ports import ContentReader
from registry.hooks.specs import hookimpl
from registry.hooks.types import ConversionRequest, Layer, LegacyImage, ParsedManifest


@hookimpl
def manifest_media_types() -> list[str]:
    """Name the one media type."""
    return [DOCKER.manifest]


@hookimpl
def parse_manifest(media_type: str, payload: bytes) -> ParsedManifest:
    """Read the manifest; Docker requires it to state its own type.

    Any config is taken, because plugins and early Helm charts came in this format.
    """
    return _images.parse_image(media_type, payload, stated=True)


@hookimpl
def validate_manifest(manifest: ParsedManifest, content: ContentReader) -> None:
    """Check that an image's config is one."""
    _images.check_content(manifest, content)


@hookimpl
def manifest_layers(manifest: ParsedManifest, content: ContentReader) -> Sequence[Layer]:
    """List the steps, base first."""
    return _images.layers(manifest, content)


@hookimpl
def manifest_labels(manifest: ParsedManifest, content: ContentReader) -> Mapping[str, str]:
    """Return config labels overlaid by annotations."""
    return _images.labels(manifest, content)


@hookimpl
def needs_empty_layer(manifest: ParsedManifest, content: ContentReader) -> bool:
    """Tell whether the history has steps without files."""
    return _images.has_empty_step(manifest, content)


@hookimpl
def legacy_image_ids(manifest: ParsedManifest, content: ContentReader) -> Sequence[str]:
    """Return the v1 ids wanted."""
    return _images.legacy_ids(manifest, content)


@hookimpl
def legacy_images(
    manifest: ParsedManifest, content: ContentReader, taken: Mapping[str, Digest]
) -> Sequence[LegacyImage]:
    """Return the v1 images."""
    return _images.legacy(manifest, content, taken)


@hookimpl
def convert_manifest(
    manifest: ParsedManifest, content: ContentReader, request: ConversionRequest
) -> ParsedManifest | None:
    """Convert to an OCI image or to schema 1."""
    return convert_image(manifest, content, request, DOCKER)
