"""Image manifests of schema 2, which Docker and OCI share: reading, layers, labels and v1 images.

Sources: OCI image-spec 1.1, "Image Manifest" and "Guidelines for Artifact Usage"; Docker's "Image Manifest Version 2,
Schema 2".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from registry.digest import Digest
from registry.formats._descriptors import read_artifact_type, read_descriptor, read_head, read_subject
from registry.formats._fields import (
    Object,
    optional_string_map,
    optional_strings,
    refuse,
    refuse_fields,
    required_list,
    required_object,
)
from registry.formats._image_config import ImageConfig, load_config
from registry.formats._legacy import MAX_STEPS, settle, step_drafts, step_ids
from registry.formats._steps import Step, join_history
from registry.hooks.ports import ContentReader
from registry.hooks.types import BlobReference, Descriptor, Layer, LegacyImage, ParsedManifest
from registry.media_types import OCTET_STREAM

_IMAGE_CONFIGS = {
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.config.v1+json",
}
_DOCKER_LAYERS = "application/vnd.docker.image.rootfs."
_FILESYSTEM_LAYERS = (_DOCKER_LAYERS, "application/vnd.oci.image.layer.")
_ELSEWHERE_LAYERS = (
    "application/vnd.docker.image.rootfs.foreign.",
    "application/vnd.oci.image.layer.nondistributable.",
)
_OTHER_KINDS = ("manifests", "fsLayers", "history", "signatures")
_INT64 = 2**63


def parse_image(media_type: str, payload: bytes, *, stated: bool) -> ParsedManifest:
    """Read an image manifest; ``stated`` says whether its own ``mediaType`` is required."""
    document = read_head(media_type, payload, stated=stated)
    refuse_fields(document, _OTHER_KINDS, "an image manifest")
    config = read_descriptor(required_object(document, "config"), "config")
    layers = _read_layers(document)
    if config.size + sum(layer.size for layer in layers) >= _INT64:
        refuse("layers", "are larger than 64 bits can say in total")
    artifact_type = read_artifact_type(document)
    return ParsedManifest(
        payload=payload,
        media_type=media_type,
        digest_bytes=payload,
        config=config,
        blobs=[BlobReference(config), *(BlobReference(layer, not _is_elsewhere(layer)) for layer in layers)],
        subject=read_subject(document),
        artifact_type=artifact_type or config.media_type,
        annotations=optional_string_map(document, "annotations"),
        is_image=not artifact_type and _is_runnable(config, layers),
        document=document,
    )


def fields_of(manifest: ParsedManifest) -> Object:
    """Return the decoded form that the parser kept."""
    assert isinstance(manifest.document, dict)  # noqa: S101 - the owner's own value, which nobody else sets
    return manifest.document


def layers_of(manifest: ParsedManifest) -> list[Descriptor]:
    """Return the layers' descriptors, base first."""
    return [blob.descriptor for blob in manifest.blobs[1:]]


def check_content(manifest: ParsedManifest, content: ContentReader) -> None:
    """Raise :class:`ManifestInvalid` where an image's config is not one. Other artifacts' configs are their own."""
    image_config(manifest, content)


def image_config(manifest: ParsedManifest, content: ContentReader) -> ImageConfig | None:
    """Return the configuration of a runnable image, None for artifacts and where the blob is missing."""
    return load_config(manifest.config, content) if manifest.is_image else None


def steps_of(manifest: ParsedManifest, config: ImageConfig | None) -> list[Step]:
    """Return the steps, base first; for an artifact simply its blobs."""
    urls = [optional_strings(layer, "urls") for layer in fields_of(manifest)["layers"]]
    return join_history(layers_of(manifest), urls, config)


def layers(manifest: ParsedManifest, content: ContentReader) -> Sequence[Layer]:
    """List the steps, base first."""
    return [step.as_layer() for step in steps_of(manifest, image_config(manifest, content))]


def labels(manifest: ParsedManifest, content: ContentReader) -> Mapping[str, str]:
    """Return an image's config labels overlaid by its annotations; an artifact's annotations alone."""
    config = image_config(manifest, content)
    own = {name: value for name, value in manifest.annotations.items() if name}
    return {**(config.labels if config else {}), **own}


def has_empty_step(manifest: ParsedManifest, content: ContentReader) -> bool:
    """Tell whether the history has a step without files."""
    config = image_config(manifest, content)
    return config is not None and any(entry.empty for entry in config.history)


def legacy_ids(manifest: ParsedManifest, content: ContentReader) -> Sequence[str]:
    """Return the v1 ids wanted, base first."""
    chain = _legacy_chain(manifest, content)
    return step_ids(chain[0], chain[2]) if chain else []


def legacy(manifest: ParsedManifest, content: ContentReader, taken: Mapping[str, Digest]) -> Sequence[LegacyImage]:
    """Return the v1 images, base first."""
    chain = _legacy_chain(manifest, content)
    return settle(step_drafts(*chain), taken) if chain else []


def _legacy_chain(manifest: ParsedManifest, content: ContentReader) -> tuple[list[Step], ImageConfig, Digest] | None:
    """Return what v1 images are made of; None where the image cannot have any."""
    config = image_config(manifest, content)
    if config is None or manifest.config is None or not is_self_contained(manifest):
        return None
    steps = steps_of(manifest, config)
    return (steps, config, manifest.config.digest) if len(steps) <= MAX_STEPS else None


def is_self_contained(manifest: ParsedManifest) -> bool:
    """Tell whether there are layers, and none of them has to be fetched from elsewhere."""
    return len(manifest.blobs) > 1 and all(blob.distributable for blob in manifest.blobs)


def _read_layers(document: Object) -> list[Descriptor]:
    entries = required_list(document, "layers")
    return [read_descriptor(entry, f"layers[{index}]") for index, entry in enumerate(entries)]


def _is_elsewhere(layer: Descriptor) -> bool:
    return layer.media_type.startswith(_ELSEWHERE_LAYERS)


def _is_runnable(config: Descriptor, layers: Sequence[Descriptor]) -> bool:
    """Tell an image from BuildKit's attestations and cosign's signatures, which borrow its config type.

    Those carry no filesystem in their layers.
    """
    types = [layer.media_type for layer in layers]
    if config.media_type == OCTET_STREAM:  # what Docker 1.10 called its configs
        return bool(types) and all(name.startswith(_DOCKER_LAYERS) for name in types)
    return config.media_type in _IMAGE_CONFIGS and all(name.startswith(_FILESYSTEM_LAYERS) for name in types)
