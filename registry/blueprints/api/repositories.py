"""Repositories."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import repository, services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body, Query
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import maybe_moment, moment
from registry.errors import NameInvalid, NameTaken, NameUnknown, PaginationInvalid, TagImmutable
from registry.names import RepositoryName
from registry.repositories.lifecycle import RepositorySettings
from registry.repositories.listing import RepositoryRow, Selection
from registry.revisions import Condition

blueprint = Blueprint("api_repositories", __name__, url_prefix=PREFIX)


Description = Annotated[str, msgspec.Meta(max_length=10_000)]
Window = Annotated[int, msgspec.Meta(ge=0, le=36_500 * 86_400, description="seconds")]


class InForce(msgspec.Struct):
    """What holds for a repository, by its own settings or by the registry's."""

    allow_sparse: bool
    recovery_seconds: int


class Repository(msgspec.Struct):
    """A repository. ``allow_sparse`` and ``recovery_seconds`` are null where the registry's settings hold."""

    id: int
    name: str
    description: str
    allow_sparse: bool | None
    recovery_seconds: int | None
    in_force: InForce
    created: datetime
    deleted: datetime | None
    restorable_until: datetime | None


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


class NewRepository(Body):
    """A repository to make."""

    name: str
    description: Description = ""
    allow_sparse: bool | None = None
    recovery_seconds: Window | None = None


class RepositoryChange(Body):
    """What to set; what is not given stays, and null lets the registry's settings hold."""

    description: Description | msgspec.UnsetType = msgspec.UNSET
    allow_sparse: bool | msgspec.UnsetType | None = msgspec.UNSET
    recovery_seconds: Window | msgspec.UnsetType | None = msgspec.UNSET


class Renaming(Body):
    """The name that a repository is to have."""

    name: str


class Deletion(Query):
    """With ``force``, immutable tags do not keep a repository."""

    force: bool = False


class Undeletion(Body):
    """Which of the deleted repositories of this name; without ``id`` the one that was deleted last."""

    id: int | None = None


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


@operation(blueprint, "POST", "/repositories", status=201, errors=(NameInvalid, NameTaken))
def create_repository(actor: Actor, wanted: NewRepository) -> Reply[Repository]:
    """Make an empty repository. A first push makes one as well."""
    settings = RepositorySettings(wanted.description, wanted.allow_sparse, wanted.recovery_seconds)
    row = services().lifecycle.create(actor, repository(wanted.name), settings)
    return Reply(_shown(row), etag=row.revision, location=f"/repositories/{row.name}")


@operation(blueprint, "PATCH", "/repositories/{name}", errors=(NameInvalid, NameUnknown))
def change_repository(
    actor: Actor, name: RepositoryName, wanted: RepositoryChange, condition: Condition
) -> Reply[Repository]:
    """Change a repository's settings. A shorter recovery window also holds for what is deleted already."""
    given = {key: value for key, value in msgspec.structs.asdict(wanted).items() if value is not msgspec.UNSET}
    row = services().lifecycle.change(actor, name, lambda present: replace(present, **given), condition)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "POST", "/repositories/{name}/-/rename", errors=(NameInvalid, NameUnknown, NameTaken))
def rename_repository(actor: Actor, name: RepositoryName, wanted: Renaming, condition: Condition) -> Reply[Repository]:
    """Rename a repository. Its old name leads nowhere afterwards; rules of the new namespace hold for it."""
    row = services().lifecycle.rename(actor, name, RepositoryName.parse(wanted.name), condition)
    return Reply(_shown(row), etag=row.revision, location=f"/repositories/{row.name}")


@operation(blueprint, "DELETE", "/repositories/{name}", errors=(NameInvalid, NameUnknown, TagImmutable))
def delete_repository(actor: Actor, name: RepositoryName, query: Deletion, condition: Condition) -> Repository:
    """Delete a repository: gone at once for clients, and restorable for its recovery window."""
    return _shown(services().lifecycle.delete(actor, name, condition, force=query.force))


@operation(blueprint, "POST", "/repositories/{name}/-/undelete", errors=(NameInvalid, NameUnknown, NameTaken))
def undelete_repository(actor: Actor, name: RepositoryName, wanted: Undeletion) -> Reply[Repository]:
    """Restore a deleted repository with all that it held."""
    row = services().lifecycle.undelete(actor, name, wanted.id)
    return Reply(_shown(row), etag=row.revision, location=f"/repositories/{row.name}")


def _shown(row: RepositoryRow) -> Repository:
    settings = services().settings
    window = settings.recovery_window if row.recovery_seconds is None else row.recovery_seconds
    sparse = settings.allow_sparse if row.allow_sparse is None else row.allow_sparse
    return Repository(
        row.id,
        row.name,
        row.description,
        row.allow_sparse,
        row.recovery_seconds,
        InForce(sparse, window),
        moment(row.created_ms),
        maybe_moment(row.deleted_at),
        None if row.deleted_at is None else moment(row.deleted_at + window * 1000),
    )
