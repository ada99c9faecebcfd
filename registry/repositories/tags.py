"""Tags: listed and deleted."""

from __future__ import annotations

from sqlalchemy import Connection, Select, bindparam, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.db.engine import Database
from registry.db.models import Tag
from registry.names import RepositoryName, TagName
from registry.pages import Page, cut
from registry.repositories.current import alive, require_alive
from registry.repositories.history import require_revision
from registry.repositories.periods import Periods
from registry.repositories.repositories import require_repository
from registry.repositories.tag_values import EndReason
from registry.revisions import Condition


class TagService:
    """Lists and deletes tags."""

    def __init__(self, database: Database, authorizer: Authorizer, periods: Periods) -> None:
        """Work on ``database``, as far as ``authorizer`` allows."""
        self._database = database
        self._authorizer = authorizer
        self._periods = periods
        self._names = self._names_statement()

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
            repository_id = require_repository(connection, repository)
            now = self._database.now(connection)
            require_revision(connection, now, repository_id, name, condition)
            row = require_alive(connection, now, repository_id, name)
            self._periods.delete(connection, now, repository_id, [row], EndReason.DELETED)

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
