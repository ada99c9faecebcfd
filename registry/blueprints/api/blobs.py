"""Blobs: where each is, and what names it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._operations import operation
from registry.blueprints.api._times import maybe_moment, moment
from registry.content.catalogue import BlobRow
from registry.digest import Digest
from registry.errors import BlobUnknown, DigestInvalid, NameInvalid, NameUnknown
from registry.names import RepositoryName

blueprint = Blueprint("api_blobs", __name__, url_prefix=PREFIX)


class StoredBlob(msgspec.Struct, kw_only=True):
    """A blob, stored once for all repositories; ``repositories`` are the first hundred of ``repository_count``.

    ``state`` is LIVE, DAMAGED (its bytes are not what they were, so that it must be pushed again) or DELETING.
    ``checked`` is when its bytes were last found right.
    """

    digest: str
    size: int
    state: str
    created: datetime
    checked: datetime | None
    repositories: Sequence[str]
    repository_count: int


class RepositoryBlob(msgspec.Struct, kw_only=True):
    """A blob of one repository; ``manifests`` are the first hundred of ``manifest_count`` that name it there."""

    digest: str
    size: int
    state: str
    created: datetime
    checked: datetime | None
    manifests: Sequence[str]
    manifest_count: int


@operation(blueprint, "GET", "/blobs/{digest}", errors=(DigestInvalid, BlobUnknown))
def show_blob(actor: Actor, digest: Digest) -> StoredBlob:
    """Show a blob and the repositories that have it."""
    row, repositories = services().blob_catalogue.describe(actor, digest)
    return StoredBlob(**_fields(row), repositories=repositories.names, repository_count=repositories.count)


@operation(
    blueprint,
    "GET",
    "/repositories/{name}/-/blobs/{digest}",
    errors=(NameInvalid, NameUnknown, DigestInvalid, BlobUnknown),
)
def show_repository_blob(actor: Actor, name: RepositoryName, digest: Digest) -> RepositoryBlob:
    """Show a blob of a repository and the manifests that name it."""
    row, manifests = services().blob_catalogue.describe_in(actor, name, digest)
    return RepositoryBlob(**_fields(row), manifests=manifests.names, manifest_count=manifests.count)


def _fields(row: BlobRow) -> dict[str, Any]:
    return {
        "digest": row.digest,
        "size": row.size,
        "state": row.state,
        "created": moment(row.created_ms),
        "checked": maybe_moment(row.checked_ms),
    }
