"""A repository's content as plugins see it, held in a dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from registry.digest import Digest
from registry.formats import manifest_list, oci_index, oci_manifest, schema1, schema2
from registry.hooks.ports import MAX_READ, ContentMissing, ContentTooLarge
from registry.hooks.types import ParsedManifest
from registry.testing.hooks import Implementations
from registry.testing.images import Blob, Manifest

__all__ = ["DictContent", "content_of", "parse"]

_BUILT_IN = (schema1, schema2, manifest_list, oci_manifest, oci_index)


def parse(media_type: str, payload: bytes, formats: Sequence[object] = ()) -> ParsedManifest:
    """Parse a manifest by its owner: one of the plugins in ``formats``, or a built-in format.

    Raises :class:`~registry.hooks.ManifestInvalid`, and :class:`LookupError` for a media type that nobody owns.
    """
    for plugin in (*formats, *_BUILT_IN):
        owner = Implementations(plugin)
        owned = owner.call("manifest_media_types")
        if isinstance(owned, Iterable) and media_type in owned:
            parsed = owner.call("parse_manifest", media_type=media_type, payload=payload)
            if not isinstance(parsed, ParsedManifest):
                raise TypeError(f"parse_manifest of {owner.name} returned {parsed!r}, not a ParsedManifest")
            return parsed
    raise LookupError(f"no format owns {media_type}")


class DictContent:
    """A :class:`~registry.hooks.ContentReader` over bytes by digest; manifests also need their media type.

    ``formats`` are the plugins that parse manifests beside the built-in formats.
    """

    def __init__(
        self,
        blobs: Mapping[str, bytes] | None = None,
        media_types: Mapping[str, str] | None = None,
        formats: Sequence[object] = (),
    ) -> None:
        """Hold ``blobs`` by digest; those that ``media_types`` has a type for are manifests."""
        self.blobs = dict(blobs or {})
        self.media_types = dict(media_types or {})
        self._formats = formats

    def add(self, data: bytes, media_type: str = "") -> Digest:
        """Hold ``data``, as a manifest if it has a media type."""
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
        return parse(self.media_types[str(digest)], self.read(digest), self._formats)


def content_of(*manifests: Manifest, formats: Sequence[object] = ()) -> DictContent:
    """Hold manifests with all they need."""
    content = DictContent(formats=formats)
    for manifest in manifests:
        for part in manifest.walk():
            content.blobs[part.digest] = part.data
            if isinstance(part, Manifest):
                content.media_types[part.digest] = part.media_type
    return content
