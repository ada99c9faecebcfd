"""Manifests, with what they consist of and what refers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._operations import operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import maybe_moment, moment
from registry.digest import Digest
from registry.errors import (
    DigestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationInvalid,
    TagImmutable,
)
from registry.manifests.catalogue import ManifestRow, ManifestSelection, Part
from registry.manifests.referrers import Cursor, Referrer
from registry.names import RepositoryName

blueprint = Blueprint("api_manifests", __name__, url_prefix=PREFIX)

_LAST_ID = (1 << 63) - 1
_OF_ONE = (NameInvalid, NameUnknown, DigestInvalid, ManifestUnknown)
MediaType = Annotated[str, msgspec.Meta(max_length=255)]


class Manifest(msgspec.Struct, kw_only=True):
    """A manifest; ``size`` is its own length in bytes, ``layers_size`` that of its compressed layers."""

    digest: str
    media_type: str
    artifact_type: str | None
    config_media_type: str | None
    subject: str | None
    size: int
    layers_size: int
    actor: str
    created: datetime
    deleted: datetime | None
    last_pulled: datetime | None


class ManifestPart(msgspec.Struct):
    """What a manifest names; of what is not in the repository (``present``), nothing else is known."""

    digest: str
    present: bool
    size: int | None
    media_type: str | None


class LegacyImage(msgspec.Struct, kw_only=True):
    """A Docker v1 image that an old client sees in the manifest."""

    id: str
    parent: str | None
    blob: str
    created: str
    comment: str
    command: str


class LayerDescription(msgspec.Struct, kw_only=True):
    """One step of an image, or one file of an artifact, base first; a step that changed no file is ``empty``.

    ``comment`` names the file of an artifact, where its plugin does.
    """

    digest: str | None
    size: int
    media_type: str
    empty: bool
    created: str
    created_by: str
    author: str
    comment: str
    urls: list[str]


class ManifestDescription(Manifest, kw_only=True):
    """A manifest with all that belongs to it; ``tags`` are the first hundred of ``tag_count`` living ones.

    ``untagged_pin``: it was pushed by digest, and nothing has taken it over. ``label_pin``: a label keeps it.
    ``layers`` are null where the plugin that knows them is not installed, or failed.
    """

    tags: Sequence[str]
    tag_count: int
    children: list[ManifestPart]
    blobs: list[ManifestPart]
    referrer_count: int
    label_count: int
    untagged_pin: bool
    label_pin: bool
    legacy_images: list[LegacyImage]
    layers: list[LayerDescription] | None


class ReferrerDescriptor(msgspec.Struct, kw_only=True):
    """A manifest whose subject is the one asked about."""

    digest: str
    media_type: str
    artifact_type: str | None
    size: int
    annotations: dict[str, str]


class ManifestsQuery(PageQuery):
    """Which manifests: of a media type, of an artifact type, or deleted ones."""

    media_type: MediaType | None = None
    artifact_type: MediaType | None = None
    deleted: bool = False


class ReferrersQuery(PageQuery):
    """Which referrers: of an artifact type, or all."""

    artifact_type: MediaType | None = None


@operation(blueprint, "GET", "/repositories/{name}/-/manifests", errors=(NameInvalid, NameUnknown, PaginationInvalid))
def list_manifests(actor: Actor, name: RepositoryName, query: ManifestsQuery) -> PageOf[Manifest]:
    """List a repository's manifests, the newest first, whether a tag names them or not."""
    selection = ManifestSelection(query.media_type, query.artifact_type, deleted=query.deleted)
    (last,) = query.after(_LAST_ID)
    page = services().manifests.list(actor, name, selection, query.size, int(last))
    return page_of(page, lambda row: Manifest(**_fields(row)), lambda row: (row.id,))


@operation(blueprint, "GET", "/repositories/{name}/-/manifests/{digest}", errors=_OF_ONE)
def show_manifest(actor: Actor, name: RepositoryName, digest: Digest) -> ManifestDescription:
    """Show a manifest with its tags, children, blobs, layers and legacy images; also a deleted one while it is kept."""
    found = services().manifests.describe(actor, name, digest)
    return ManifestDescription(
        **_fields(found.row),
        tags=found.tags,
        tag_count=found.tag_count,
        children=[_part(child) for child in found.children],
        blobs=[_part(blob) for blob in found.blobs],
        referrer_count=found.referrer_count,
        label_count=found.label_count,
        untagged_pin=found.row.untagged_pin,
        label_pin=found.row.label_pin,
        legacy_images=[_image(image) for image in found.legacy_images],
        layers=None if found.layers is None else msgspec.convert(found.layers, list[LayerDescription]),
    )


@operation(blueprint, "DELETE", "/repositories/{name}/-/manifests/{digest}", errors=(*_OF_ONE, TagImmutable))
def delete_manifest(actor: Actor, name: RepositoryName, digest: Digest) -> None:
    """Delete a manifest and end all its tags; both are restorable for the repository's recovery window."""
    services().deletion.delete(actor, name, digest)


@operation(
    blueprint,
    "GET",
    "/repositories/{name}/-/manifests/{digest}/referrers",
    errors=(NameInvalid, DigestInvalid, PaginationInvalid),
)
def list_manifest_referrers(
    actor: Actor, name: RepositoryName, digest: Digest, query: ReferrersQuery
) -> PageOf[ReferrerDescriptor]:
    """List the manifests whose subject this one is: signatures, attestations and the like."""
    artifact_type, row_id = query.after("", 0)
    after = Cursor(str(artifact_type), int(row_id))
    page = services().referrers.list(actor, name, digest, query.artifact_type, after, query.size)
    return page_of(page, _referrer, lambda one: (one.cursor.artifact_type, one.cursor.row_id))


def _fields(row: ManifestRow) -> dict[str, Any]:
    return {
        "digest": row.digest,
        "media_type": row.media_type,
        "artifact_type": row.artifact_type or None,
        "config_media_type": row.config_media_type or None,
        "subject": row.subject_digest or None,
        "size": row.size,
        "layers_size": row.layers_size,
        "actor": row.actor,
        "created": moment(row.created_ms),
        "deleted": maybe_moment(row.deleted_at),
        "last_pulled": maybe_moment(row.last_pulled_at),
    }


def _part(part: Part) -> ManifestPart:
    return ManifestPart(part.digest, part.present, part.size, part.media_type)


def _image(image: Mapping[str, str | None]) -> LegacyImage:
    names = {"image_id": "id", "parent_id": "parent", "blob_digest": "blob"}
    return msgspec.convert({names.get(name, name): value for name, value in image.items()}, LegacyImage)


def _referrer(referrer: Referrer) -> ReferrerDescriptor:
    names = {"mediaType": "media_type", "artifactType": "artifact_type"}
    fields = {names.get(name, name): value for name, value in referrer.descriptor.items()}
    return msgspec.convert({"artifact_type": None, "annotations": {}, **fields}, ReferrerDescriptor)
