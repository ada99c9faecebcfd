"""Repositories as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, or_, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.access.reach import Stretch
from registry.access.visible import Narrowed, visible
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Blob, Manifest, Namespace, Repository, RepositoryBlob, Tag
from registry.errors import NameUnknown
from registry.names import RepositoryName
from registry.pages import Page
from registry.repositories.current import alive
from registry.repositories.repositories import require_repository
from registry.revisions import revision_of

_AFTER_ALL = "\x7f"
"""Sorts after every character of a repository's name."""


class RepositoryRow(NamedTuple):
    """A repository as the database has it; the fields are columns of ``repository``."""

    id: int
    name: str
    description: str
    allow_sparse: bool | None
    recovery_seconds: int | None
    created_ms: int
    deleted_at: int | None

    @property
    def revision(self) -> str:
        """What a client has seen before it changes this."""
        return revision_of(*self)


SELECTED = select(*(getattr(Repository, column) for column in RepositoryRow._fields))
"""Repositories, to be made a :class:`RepositoryRow` each; add which."""
LIVING = SELECTED.where(Repository.name == bindparam("name"), Repository.current == 1)
_NAME = table(Repository).c.name
_PAGE = (
    SELECTED.where(
        Repository.name >= bindparam("start"),
        Repository.name < bindparam("end"),
        or_(
            Repository.name > bindparam("last_name"),
            (Repository.name == bindparam("last_name")) & (Repository.id > bindparam("last_id")),
        ),
    )
    .order_by(Repository.name, Repository.id)
    .limit(bindparam("limit"))
)
_LIVE_PAGE, _DEAD_PAGE = _PAGE.where(Repository.current == 1), _PAGE.where(Repository.current.is_(None))
_IN_NAMESPACE = Repository.namespace_id.in_(select(Namespace.id).where(Namespace.name == bindparam("namespace")))
_MANIFESTS = select(func.count()).where(
    Manifest.repository_id == bindparam("repository"), Manifest.deleted_at.is_(None)
)
_BLOBS = (
    select(func.count(), func.coalesce(func.sum(Blob.size), 0))
    .join(RepositoryBlob, RepositoryBlob.blob_id == Blob.id)
    .where(RepositoryBlob.repository_id == bindparam("repository"), RepositoryBlob.hidden_at.is_(None))
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a repository holds: living tags, manifests that are not deleted, its blobs and their bytes."""

    tags: int
    manifests: int
    blobs: int
    blob_bytes: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which repositories are listed: of one namespace (None: of any), by the start of the name, or the deleted ones."""

    namespace: str | None = None
    prefix: str = ""
    deleted: bool = False


def require_row(connection: Connection, name: RepositoryName) -> RepositoryRow:
    """Return a living repository; raise :class:`NameUnknown`."""
    row = connection.execute(LIVING, {"name": name.value}).first()
    if row is None:
        raise NameUnknown(detail={"name": name.value})
    return RepositoryRow._make(row)


class RepositoryListing:
    """Lists and describes repositories."""

    def __init__(self, database: Database, authorizer: Authorizer) -> None:
        """Read from ``database``, as far as ``authorizer`` allows."""
        self._database = database
        self._authorizer = authorizer
        self._pages = {
            (deleted, within): Narrowed(database, page.where(_IN_NAMESPACE) if within else page, _NAME)
            for deleted, page in ((False, _LIVE_PAGE), (True, _DEAD_PAGE))
            for within in (False, True)
        }
        self._tags = select(func.count()).where(
            Tag.repository_id == bindparam("repository"), alive(database.now_clause())
        )

    def list(self, actor: Actor, selection: Selection, limit: int, last: tuple[str, int]) -> Page[RepositoryRow]:
        """Return at most ``limit`` repositories in bytewise order of (name, id) after ``last``, empty ones included.

        Those alone that the actor may see.
        """
        self._authorizer.require(actor, Action.LIST, None)
        pages = self._pages[selection.deleted, selection.namespace is not None]
        values: dict[str, object] = {
            "start": selection.prefix,
            "end": selection.prefix + _AFTER_ALL,
        }
        if selection.namespace is not None:
            values["namespace"] = selection.namespace

        def fetch(stretch: Stretch | None, after: tuple[str, int], count: int) -> Sequence[RepositoryRow]:
            statement, within = pages.to(stretch)
            given = {**values, **within, "last_name": after[0], "last_id": after[1], "limit": count}
            with self._database.read() as connection:
                return [RepositoryRow._make(row) for row in connection.execute(statement, given)]

        start = (max(last[0], selection.prefix[:-1]), last)
        return visible(
            self._authorizer, actor, limit, start, fetch, lambda row: row.name, lambda row: (row.name, row.id)
        )

    def describe(self, actor: Actor, name: RepositoryName) -> RepositoryRow:
        """Return a living repository; raises :class:`NameUnknown`."""
        self._authorizer.require(actor, Action.PULL, name)
        with self._database.read() as connection:
            return require_row(connection, name)

    def usage(self, actor: Actor, name: RepositoryName) -> Usage:
        """Return what a living repository holds; raises :class:`NameUnknown`."""
        self._authorizer.require(actor, Action.PULL, name)
        with self._database.read() as connection:
            values = {"repository": require_repository(connection, name)}
            tags = connection.execute(self._tags, values).scalar_one()
            manifests = connection.execute(_MANIFESTS, values).scalar_one()
            blobs, size = connection.execute(_BLOBS, values).one()
        return Usage(tags, manifests, blobs, int(size))
