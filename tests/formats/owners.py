"""The built-in formats by the media types that they own."""

from collections.abc import Iterable
from typing import Protocol, cast

from registry.formats import manifest_list, oci_index, oci_manifest, schema1, schema2
from registry.hooks.types import ParsedManifest


class Format(Protocol):
    """The part of a format that every one has."""

    def manifest_media_types(self) -> Iterable[str]: ...

    def parse_manifest(self, media_type: str, payload: bytes) -> ParsedManifest: ...


BUILT_IN = tuple(cast("Format", module) for module in (schema1, schema2, manifest_list, oci_manifest, oci_index))


def owner_of(media_type: str) -> Format:
    """Return the built-in format that owns a media type."""
    return next(module for module in BUILT_IN if media_type in module.manifest_media_types())
