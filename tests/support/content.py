"""A repository's content as formats see it, held in a dictionary."""

from collections.abc import Iterable, Mapping
from typing import Protocol, cast

from registry.digest import Digest
from registry.formats import manifest_list, oci_index, oci_manifest, schema1, schema2
from registry.hooks.ports import MAX_READ, ContentMissing, ContentTooLarge
from registry.hooks.types import ParsedManifest
from tests.support.images import Blob, Manifest


class Format(Protocol):
    """The part of a format that a reader needs."""

    def manifest_media_types(self) -> Iterable[str]: ...

    def parse_manifest(self, media_type: str, payload: bytes) -> ParsedManifest: ...


BUILT_IN = tuple(cast("Format", module) for module in (schema1, schema2, manifest_list, oci_manifest, oci_index))


def owner_of(media_type: str) -> Format:
    """Return the built-in format that owns a media type."""
    return next(module for module in BUILT_IN if media_type in module.manifest_media_types())


class DictContent:
    """A `ContentReader` over bytes by digest; manifests also need their media type."""

    def __init__(self, blobs: Mapping[str, bytes] | None = None, media_types: Mapping[str, str] | None = None) -> None:
        self.blobs = dict(blobs or {})
        self.media_types = dict(media_types or {})

    def add(self, data: bytes, media_type: str = "") -> Digest:
        """Hold `data`, as a manifest if it has a media type."""
        digest = Digest.of(data)
        self.blobs[str(digest)] = data
        if media_type:
            self.media_types[str(digest)] = media_type
        return digest

    def remove(self, part: Blob) -> None:
        """Forget one part."""
        del self.blobs[part.digest]

    def read(self, digest: Digest, limit: int = MAX_READ) -> bytes:
        """Return bytes as the port says."""
        data = self.blobs.get(str(digest))
        if data is None:
            raise ContentMissing(str(digest))
        if len(data) > limit:
            raise ContentTooLarge(str(digest))
        return data

    def manifest(self, digest: Digest) -> ParsedManifest:
        """Return a manifest, parsed by its owner."""
        if str(digest) not in self.media_types:
            raise ContentMissing(str(digest))
        media_type = self.media_types[str(digest)]
        return owner_of(media_type).parse_manifest(media_type, self.read(digest))


def content_of(*manifests: Manifest) -> DictContent:
    """Hold manifests with all they need."""
    content = DictContent()
    for manifest in manifests:
        for part in manifest.walk():
            content.blobs[part.digest] = part.data
            if isinstance(part, Manifest):
                content.media_types[part.digest] = part.media_type
    return content
