"""Finding, making and listing repositories."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, exists, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.access.reach import Stretch
from registry.access.visible import Narrowed, visible
from registry.db.base import table
from registry.db.engine import Conflict, Database
from registry.db.models import Manifest, Namespace, Repository
from registry.errors import NameUnknown
from registry.events.outbox import Outbox
from registry.events.types import REPOSITORY_CREATED
from registry.names import RepositoryName
from registry.pages import Page

_FIND = select(Repository.id).where(Repository.name == bindparam("name"), Repository.current == 1)
_NAME = table(Repository).c.name
_LISTED = exists().where(Manifest.repository_id == Repository.id, Manifest.deleted_at.is_(None)).correlate(Repository)
_CATALOG = (
    select(Repository.name)
    .where(Repository.current == 1, Repository.name > bindparam("last"), _LISTED)
    .order_by(Repository.name)
    .limit(bindparam("limit"))
)


def find_repository(connection: Connection, name: RepositoryName) -> int | None:
    """Return the id of a living repository, or None."""
    return connection.execute(_FIND, {"name": name.value}).scalar()


def require_repository(connection: Connection, name: RepositoryName) -> int:
    """Return the id of a living repository; raise :class:`NameUnknown`."""
    found = find_repository(connection, name)
    if found is None:
        raise NameUnknown(detail={"name": name.value})
    return found


def ensure_repository(
    database: Database, outbox: Outbox, connection: Connection, name: RepositoryName, actor: Actor
) -> int:
    """Return the id of the repository, made on its first push; raises :class:`Conflict` where it was just deleted."""
    known = database.prepare(_FIND)(connection, {"name": name.value})
    if known is not None:
        return int(known[0])
    now = database.now(connection)
    made = {
        "namespace_id": ensure_namespace(database, connection, name),
        "name": name.value,
        "current": 1,
        "created_ms": now,
    }
    fresh = connection.execute(database.insert_ignore(Repository).values(made).returning(Repository.id)).first()
    found = find_repository(connection, name)
    if found is None:
        raise Conflict
    if fresh is not None:
        outbox.record(connection, now, REPOSITORY_CREATED, found, "", actor, {})
    return found


def ensure_namespace(database: Database, connection: Connection, name: RepositoryName) -> int:
    """Return the id of the namespace that a repository's name puts it in, made where there is none."""
    connection.execute(database.insert_ignore(Namespace).values(name=name.namespace))
    return connection.execute(select(Namespace.id).where(Namespace.name == name.namespace)).scalar_one()


class RepositoryService:
    """Lists repositories."""

    def __init__(self, database: Database, authorizer: Authorizer) -> None:
        """Read from ``database``, as far as ``authorizer`` allows."""
        self._database = database
        self._authorizer = authorizer
        self._catalog = Narrowed(database, _CATALOG, _NAME)

    def catalog(self, actor: Actor, limit: int, last: str) -> Page[str]:
        """Return at most ``limit`` names of repositories that hold a manifest, in bytewise order after ``last``.

        Those alone that the actor may see.
        """
        self._authorizer.require(actor, Action.LIST, None)

        def fetch(stretch: Stretch | None, after: str, count: int) -> Sequence[str]:
            statement, within = self._catalog.to(stretch)
            with self._database.read() as connection:
                rows = self._database.prepare_list(statement)(connection, {**within, "last": after, "limit": count})
            return [name for (name,) in rows]

        return visible(self._authorizer, actor, limit, (last, last), fetch, str, str)
