"""Tags: listed and deleted."""

from __future__ import annotations

from sqlalchemy import Connection, Select, bindparam, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.db.engine import Database
from registry.db.models import Repository, Tag
from registry.errors import NameUnknown
from registry.names import RepositoryName, TagName
from registry.pages import Page, cut
from registry.repositories.current import alive, explain_missing, is_alive
from registry.repositories.history import require_revision
from registry.repositories.periods import Periods
from registry.repositories.repositories import require_repository
from registry.repositories.tag_values import EndReason, Period
from registry.revisions import Condition

_FIND = (
    select(Repository.id, *(getattr(Tag, column) for column in Period._fields))
    .outerjoin(Tag, (Tag.repository_id == Repository.id) & (Tag.current == 1) & (Tag.name == bindparam("tag")))
    .where(Repository.name == bindparam("name"), Repository.current == 1)
)


class TagService:
    """Lists and deletes tags."""

    def __init__(self, database: Database, authorizer: Authorizer, periods: Periods) -> None:
        """Work on ``database``, as far as ``authorizer`` allows."""
        self._database = database
        self._authorizer = authorizer
        self._periods = periods
        self._names = self._names_statement()
        self._find = database.prepare(_FIND)

    def list(self, actor: Actor, repository: RepositoryName, limit: int, last: str) -> Page[str]:
        """Return at most ``limit`` names of living tags, in bytewise order after ``last``."""
        self._authorizer.require(actor, Action.PULL, repository)
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            values = {"repository": repository_id, "last": last, "limit": limit + 1}
            rows = connection.scalars(self._names, values).all()
        return cut(rows, limit)

    def delete(self, actor: Actor, repository: RepositoryName, name: TagName, condition: Condition) -> None:
        """End the tag's life, under a condition; its manifest and other tags stay.

        Raises :class:`~registry.errors.ManifestUnknown`, :class:`~registry.errors.TagImmutable`.
        """
        self._authorizer.require(actor, Action.DELETE, repository, name.value)

        def work(connection: Connection) -> None:
            found = self._find(connection, {"name": repository.value, "tag": name.value})
            if found is None:
                raise NameUnknown(detail={"name": repository.value})
            repository_id, row = found[0], None if found[1] is None else Period._make(found[1:])
            now = self._database.now(connection)
            require_revision(connection, now, repository_id, name, condition)
            if row is None or not is_alive(row, now):
                raise explain_missing(connection, repository_id, name)
            self._periods.delete(connection, now, repository_id, [row], EndReason.DELETED, actor)

        self._database.write(work)

    def _names_statement(self) -> Select[str]:
        return (
            select(Tag.name)
            .where(
                Tag.repository_id == bindparam("repository"),
                Tag.name > bindparam("last"),
                alive(self._database.now_clause()),
            )
            .order_by(Tag.name)
            .limit(bindparam("limit"))
        )
