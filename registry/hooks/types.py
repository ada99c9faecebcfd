"""The values that cross a hook: frozen, plain, and free of requests, sessions and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from registry.digest import Digest

NO_ANNOTATIONS: Mapping[str, str] = MappingProxyType({})


def _none() -> Mapping[str, str]:
    return NO_ANNOTATIONS


def keep(value: object, **parts: object) -> None:
    """Set parts of a frozen value while it is made: copies that nobody can change.

    What is no sequence or mapping at all is left for who checks it.
    """
    for name, part in parts.items():
        if isinstance(part, dict):
            object.__setattr__(value, name, MappingProxyType(dict(part)))
        elif isinstance(part, list):
            object.__setattr__(value, name, tuple(part))


@dataclass(frozen=True, slots=True)
class Platform:
    """The operating system and processor that an image of an index is for (OCI image-spec, image index)."""

    os: str
    architecture: str
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A typed pointer to content (OCI image-spec, content descriptors). ``size`` is in bytes.

    ``auxiliary`` is True for an entry of an index that tells about its siblings and is none of the images the
    index offers (an attestation): what all the images of an index share is computed without it.
    """

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=_none)
    artifact_type: str = ""
    platform: Platform | None = None
    auxiliary: bool = False

    def __post_init__(self) -> None:
        """Copy what could be changed."""
        if self.annotations is not NO_ANNOTATIONS:
            keep(self, annotations=self.annotations)


@dataclass(frozen=True, slots=True)
class BlobReference:
    """A blob that a manifest names.

    ``distributable`` is False for content that is fetched from elsewhere (foreign layers): its presence in the
    repository is not required. ``descriptor.size`` is -1 where the format states none (schema 1).
    """

    descriptor: Descriptor
    distributable: bool = True


@dataclass(frozen=True, slots=True)
class ParsedManifest:
    """What a format read from a manifest.

    ``payload`` is the exact bytes received and is what is stored and served; ``digest_bytes`` is what the
    manifest's digest is of: the payload, except for signed schema 1, where it is the signed payload.
    ``config`` is also among ``blobs``. ``document`` belongs to the format that parsed the manifest: it may keep
    its decoded form there for its other hooks, and nobody else reads it. ``is_image`` is True for what runs
    (an image of layers), False for indexes, artifacts and attestations.
    """

    payload: bytes
    media_type: str
    digest_bytes: bytes
    config: Descriptor | None = None
    blobs: Sequence[BlobReference] = ()
    children: Sequence[Descriptor] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=_none)
    is_image: bool = False
    document: object = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Copy what could be changed; ``document`` is its owner's."""
        keep(self, blobs=self.blobs, children=self.children, annotations=self.annotations)


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of an image, base first.

    ``digest`` and ``size`` (compressed bytes) are those of the layer's blob; for a step that changed no file
    (``empty``) they are None and 0. The rest comes from the image's history, as far as it has one that fits its
    layers (some builders write none); ``created`` is the time as that states it (RFC 3339).
    """

    digest: Digest | None
    size: int
    media_type: str = ""
    empty: bool = False
    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    urls: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Copy what could be changed."""
        keep(self, urls=self.urls)


@dataclass(frozen=True, slots=True)
class LegacyImage:
    """A Docker v1 image that stands for one layer and all below it.

    ``image_id`` is 64 hex characters; ``parent_id`` is None for the base. ``compatibility`` is the v1 JSON text.
    """

    image_id: str
    parent_id: str | None
    blob: Digest
    created: str
    comment: str
    command: str
    compatibility: str


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """A client's wish for another format of a tag's manifest.

    ``wanted`` is the media type asked for; ``repository`` and ``tag`` go into formats that name them (schema 1);
    ``sign`` returns the JWS signature of a payload as the flattened JSON parts that schema 1 carries.
    """

    wanted: str
    repository: str
    tag: str
    sign: Callable[[bytes], SignatureParts]


@dataclass(frozen=True, slots=True)
class SignatureParts:
    """One JWS signature (RFC 7515): the public ``jwk``, ``algorithm``, base64url ``signature`` and ``protected``."""

    jwk: Mapping[str, str]
    algorithm: str
    signature: str
    protected: str


@dataclass(frozen=True, slots=True)
class ExpireTag:
    """Every tag made for the manifest ends ``after`` this long, counted from the tag's own start.

    A life is longer than nothing. One beyond what the registry's settings allow is brought within them, and a
    warning beside the label says so; of several, the shortest wins.
    """

    after: timedelta


@dataclass(frozen=True, slots=True)
class ProtectTag:
    """Every tag made for the manifest is immutable, and has no end: this beats :class:`ExpireTag`."""


@dataclass(frozen=True, slots=True)
class KeepLast:
    """Of the repository's tags made from manifests with this very label and value, the ``count`` newest are kept.

    At least one is. Immutable ones count, and stay; of several families of one manifest, the smallest wins.
    """

    count: int


@dataclass(frozen=True, slots=True)
class Pin:
    """The manifest is kept for as long as it has the label, whether or not a tag stands for it.

    Rules and the collector leave it alone; who deletes it by its digest may, unless a tag of it, or of an index that it
    is a part of, is immutable.
    """


@dataclass(frozen=True, slots=True)
class EmitEvent:
    """Tell observers, whenever a tag is made for the manifest or the label is added: ``org.moorage.label.NAME``.

    ``name`` is lower-case words joined by dots and dashes; ``data`` is JSON-shaped, 64 KiB at most.
    """

    name: str
    data: Mapping[str, object] = field(default_factory=dict)


Effect = ExpireTag | ProtectTag | KeepLast | Pin | EmitEvent
"""All that a label can make happen. The union is closed: the core applies each member, plugins only name them."""


class LabelValueRefused(ValueError):
    """A label's value means nothing to its action; the message becomes the warning shown with the label."""


@dataclass(frozen=True, slots=True)
class LabelAction:
    """What the label ``key`` does.

    ``effects`` takes the label's value as pushed and returns what should happen; it raises
    :class:`LabelValueRefused` where the value is not understood: nothing happens then, and the reason is kept
    as a warning beside the label.
    """

    key: str
    effects: Callable[[str], Sequence[Effect]]
