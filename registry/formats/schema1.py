"""Docker's old image manifests, signed and unsigned: "Image Manifest Version 2, Schema 1".

The history is in the manifest, leaf first, with the ids of Docker v1 images; there is no config blob. The digest of a
signed one is that of what is signed, so that signatures can change and the name stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.digest import Digest
from registry.errors import ManifestInvalid
from registry.formats._conversion import SIGNED_SCHEMA1, UNSIGNED_SCHEMA1, pack_schema1
from registry.formats._descriptors import TOP_FIELDS, check_media_type
from registry.formats._fields import (
    Object,
    as_object,
    optional_flag,
    optional_object,
    optional_string,
    optional_strings,
    refuse,
    refuse_fields,
    refuse_other_spellings,
    required,
    required_digest,
    required_list,
    required_string,
)
from registry.formats._image_config import read_labels
from registry.formats._jws import signed_payload
from registry.formats._legacy import Draft, settle
from registry.formats._steps import EMPTY_LAYER
from registry.hooks.specs import hookimpl
from registry.hooks.strict_json import decode_object
from registry.hooks.types import (
    BlobReference,
    ConversionRequest,
    Descriptor,
    Layer,
    LegacyImage,
    ParsedManifest,
)

LAYER = "application/vnd.docker.container.image.rootfs.diff+x-gtar"

_FIELDS = (*TOP_FIELDS, "name", "tag", "architecture")
_OTHER_KINDS = ("config", "layers", "manifests")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Image:
    """One entry of the history; ``text`` is its v1 JSON as written and ``fields`` the same decoded."""

    image_id: str
    parent: str
    blob: Digest
    throwaway: bool
    command: str
    labels: Mapping[str, str]
    text: str
    fields: Object

    def told(self, key: str) -> str:
        """Return an optional text of the entry."""
        return optional_string(self.fields, key)


@hookimpl
def manifest_media_types() -> list[str]:
    """Name the signed and the unsigned media type."""
    return [SIGNED_SCHEMA1, UNSIGNED_SCHEMA1]


@hookimpl
def parse_manifest(media_type: str, payload: bytes) -> ParsedManifest:
    """Read the manifest, and verify its signatures where it is of the signed type."""
    document = decode_object(payload)
    _check_head(document, media_type)
    images = _read_images(document)
    blobs = dict.fromkeys(image.blob for image in images)
    return ParsedManifest(
        payload=payload,
        media_type=media_type,
        digest_bytes=signed_payload(document, payload) if media_type == SIGNED_SCHEMA1 else payload,
        blobs=[BlobReference(Descriptor(LAYER, blob, -1)) for blob in blobs],
        is_image=True,
        document=images,
    )


@hookimpl
def manifest_layers(manifest: ParsedManifest) -> Sequence[Layer]:
    """List the steps, base first; sizes are unknown (-1)."""
    return [_layer(image) for image in _images(manifest)]


@hookimpl
def manifest_labels(manifest: ParsedManifest) -> Mapping[str, str]:
    """Return the labels of the leaf."""
    return _images(manifest)[-1].labels


@hookimpl
def legacy_image_ids(manifest: ParsedManifest) -> Sequence[str]:
    """Return the ids that the manifest states."""
    return [image.image_id for image in _images(manifest)]


@hookimpl
def legacy_images(manifest: ParsedManifest, taken: Mapping[str, Digest]) -> Sequence[LegacyImage]:
    """Return the images of the history."""
    return settle([_draft(image) for image in _images(manifest)], taken)


@hookimpl
def convert_manifest(manifest: ParsedManifest, request: ConversionRequest) -> ParsedManifest | None:
    """Sign, or take the signatures off; later formats need digests of unpacked layers, which nobody stated."""
    if request.wanted not in {SIGNED_SCHEMA1, UNSIGNED_SCHEMA1}:
        return None
    return pack_schema1(manifest.digest_bytes, request)


def _images(manifest: ParsedManifest) -> list[_Image]:
    assert isinstance(manifest.document, list)  # noqa: S101 - the owner's own value, which nobody else sets
    return manifest.document


def _check_head(document: Object, media_type: str) -> None:
    refuse_other_spellings(document, _FIELDS)
    version = required(document, "schemaVersion")
    if type(version) is not int or version != 1:
        refuse("schemaVersion", "must be 1", version)
    refuse_fields(document, _OTHER_KINDS, "a schema 1 manifest")
    if media_type == UNSIGNED_SCHEMA1:
        # The digest would have to be that of the signed part, which only the other media type promises.
        refuse_fields(document, ("signatures",), f"an unsigned manifest; send {SIGNED_SCHEMA1}")
    if "mediaType" in document:
        check_media_type(document, media_type)
    required_string(document, "name")
    required_string(document, "tag")
    optional_string(document, "architecture")


def _read_images(document: Object) -> list[_Image]:
    """Read the history, base first, and check that each entry's parent is the one below it."""
    layers, history = required_list(document, "fsLayers"), required_list(document, "history")
    if not layers:
        refuse("fsLayers", "must not be empty")
    if len(layers) != len(history):
        refuse("history", f"must have as many entries as fsLayers, {len(layers)}", len(history))
    images = [_read_image(layers[index], history[index], index) for index in range(len(layers))]
    seen: set[str] = set()
    for index, image in enumerate(images):
        if image.image_id in seen:
            refuse(f"history[{index}]", "repeats the id of another entry", image.image_id)
        seen.add(image.image_id)
        below = images[index + 1].image_id if index + 1 < len(images) else ""
        if image.parent != below:
            refuse(f"history[{index}]", f"must have {below or 'nothing'} as its parent", image.parent)
    return images[::-1]


def _read_image(layer: object, entry: object, index: int) -> _Image:
    layer, entry = as_object(layer, f"fsLayers[{index}]"), as_object(entry, f"history[{index}]")
    refuse_other_spellings(layer, ("blobSum",), f"fsLayers[{index}]")
    refuse_other_spellings(entry, ("v1Compatibility",), f"history[{index}]")
    text = required_string(entry, "v1Compatibility", f"history[{index}]")
    blob = required_digest(layer, "blobSum", f"fsLayers[{index}]")
    try:
        return _read_v1(text, blob)
    except ManifestInvalid as error:
        path = f"history[{index}].v1Compatibility"
        within = error.detail if isinstance(error.detail, dict) else {}
        raise ManifestInvalid(f"{path}: {error.message}", detail={**within, "field": path}) from None


def _read_v1(text: str, blob: Digest) -> _Image:
    fields = decode_object(text.encode())
    refuse_other_spellings(fields, ("id", "parent", "throwaway", "config"))
    image_id, parent = required_string(fields, "id"), optional_string(fields, "parent")
    if _IMAGE_ID.fullmatch(image_id) is None:
        refuse("id", "must be 64 lower-case hex characters", image_id)
    for key in ("created", "author", "comment"):
        optional_string(fields, key)
    container = optional_object(fields, "container_config") or {}
    return _Image(
        image_id=image_id,
        parent=parent,
        blob=blob,
        throwaway=optional_flag(fields, "throwaway"),
        command=" ".join(optional_strings(container, "Cmd", "container_config")),
        labels=read_labels(fields),
        text=text,
        fields=fields,
    )


def _layer(image: _Image) -> Layer:
    empty = image.throwaway or image.blob == EMPTY_LAYER
    return Layer(
        digest=None if empty else image.blob,
        size=0 if empty else -1,
        media_type="" if empty else LAYER,
        empty=empty,
        created=image.told("created"),
        created_by=image.command,
        author=image.told("author"),
        comment=image.told("comment"),
    )


def _draft(image: _Image) -> Draft:
    return Draft(
        wanted_id=image.image_id,
        blob=image.blob,
        document=image.fields,
        created=image.told("created"),
        comment=image.told("comment"),
        command=image.command,
        text=image.text,
    )
