"""Repositories."""

from __future__ import annotations

from datetime import datetime

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import maybe_moment, moment
from registry.errors import NameInvalid, NameUnknown, PaginationInvalid
from registry.names import RepositoryName
from registry.repositories.listing import RepositoryRow, Selection

blueprint = Blueprint("api_repositories", __name__, url_prefix=PREFIX)


class Repository(msgspec.Struct):
    """A repository. ``allow_sparse`` and ``recovery_seconds`` are null where the registry's settings hold."""

    id: int
    name: str
    description: str
    allow_sparse: bool | None
    recovery_seconds: int | None
    created: datetime
    deleted: datetime | None


class RepositoryUsage(msgspec.Struct):
    """What a repository holds. Blobs that other repositories hold as well are stored once."""

    tags: int
    manifests: int
    blobs: int
    blob_bytes: int


class RepositoriesQuery(PageQuery):
    """Which repositories: of a namespace ("" is that of names without a slash), by a prefix, or deleted ones."""

    namespace: str | None = None
    prefix: str = ""
    deleted: bool = False


@operation(blueprint, "GET", "/repositories", errors=(PaginationInvalid,))
def list_repositories(actor: Actor, query: RepositoriesQuery) -> PageOf[Repository]:
    """List repositories by name, those without content included."""
    selection = Selection(query.namespace, query.prefix, deleted=query.deleted)
    name, row_id = query.after("", 0)
    page = services().listing.list(actor, selection, query.size, (str(name), int(row_id)))
    return page_of(page, _shown, lambda row: (row.name, row.id))


@operation(blueprint, "GET", "/repositories/{name}", errors=(NameInvalid, NameUnknown))
def show_repository(actor: Actor, name: RepositoryName) -> Reply[Repository]:
    """Show a repository and its settings."""
    row = services().listing.describe(actor, name)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "GET", "/repositories/{name}/-/usage", errors=(NameInvalid, NameUnknown))
def show_usage(actor: Actor, name: RepositoryName) -> RepositoryUsage:
    """Show how much a repository holds."""
    found = services().listing.usage(actor, name)
    return RepositoryUsage(found.tags, found.manifests, found.blobs, found.blob_bytes)


def _shown(row: RepositoryRow) -> Repository:
    return Repository(
        row.id,
        row.name,
        row.description,
        row.allow_sparse,
        row.recovery_seconds,
        moment(row.created_ms),
        maybe_moment(row.deleted_at),
    )
