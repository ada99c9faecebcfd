"""Making, changing, renaming, deleting and restoring repositories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, bindparam, insert, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.content.reviews import Reviews
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Repository, Tag
from registry.errors import NameTaken, NameUnknown, TagImmutable
from registry.events.outbox import Outbox
from registry.events.types import (
    REPOSITORY_CHANGED,
    REPOSITORY_CREATED,
    REPOSITORY_DELETED,
    REPOSITORY_RENAMED,
    REPOSITORY_RESTORED,
)
from registry.names import RepositoryName
from registry.repositories.current import CURRENT, is_alive
from registry.repositories.listing import LIVING, SELECTED, RepositoryRow
from registry.repositories.protection import Protection
from registry.repositories.repositories import ensure_namespace, find_repository
from registry.repositories.tag_values import Period
from registry.revisions import Condition

_REPOSITORY = table(Repository)
_INSERT = insert(_REPOSITORY)
_LOCK = LIVING.with_for_update()
_LOCK_DELETED = (
    SELECTED.where(
        Repository.name == bindparam("name"), Repository.current.is_(None), Repository.deleted_at.is_not(None)
    )
    .order_by(Repository.deleted_at.desc(), Repository.id.desc())
    .limit(1)
    .with_for_update()
)
_LOCK_CHOSEN = _LOCK_DELETED.where(Repository.id == bindparam("id"))
_TAGS = CURRENT.where(Tag.repository_id == bindparam("repository")).order_by(Tag.name)
_UPDATE = update(_REPOSITORY).where(_REPOSITORY.c.id == bindparam("b_id"))
_DELETE = _UPDATE.values(current=None, deleted_at=bindparam("b_now"))
_UNDELETE = _UPDATE.values(current=1, deleted_at=None)
_RENAME = _UPDATE.values(name=bindparam("b_name"), namespace_id=bindparam("b_namespace"))
_CHANGE = _UPDATE.values(
    description=bindparam("b_description"),
    allow_sparse=bindparam("b_allow_sparse"),
    recovery_seconds=bindparam("b_recovery_seconds"),
)


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """What can be set of a repository; None: as the registry's settings say."""

    description: str = ""
    allow_sparse: bool | None = None
    recovery_seconds: int | None = None


class RepositoryLifecycle:
    """Changes repositories as a whole."""

    def __init__(
        self,
        database: Database,
        authorizer: Authorizer,
        reviews: Reviews,
        protection: Protection,
        outbox: Outbox,
    ) -> None:
        """Queue what was deleted with ``reviews``; ``protection`` knows which tags must stay."""
        self._outbox = outbox
        self._database = database
        self._authorizer = authorizer
        self._reviews = reviews
        self._protection = protection

    def create(self, actor: Actor, name: RepositoryName, settings: RepositorySettings) -> RepositoryRow:
        """Make an empty repository; raises :class:`NameTaken`."""
        self._authorizer.require(actor, Action.PUSH, name)

        def work(connection: Connection) -> RepositoryRow:
            self._require_free(connection, name)
            made = {
                "namespace_id": ensure_namespace(self._database, connection, name),
                "name": name.value,
                "current": 1,
                "created_ms": self._database.now(connection),
                **asdict(settings),
            }
            connection.execute(_INSERT, made)
            row = _lock(connection, name)
            self._outbox.record(connection, row.created_ms, REPOSITORY_CREATED, row.id, "", actor, {})
            return row

        return self._database.write(work)

    def change(
        self,
        actor: Actor,
        name: RepositoryName,
        change: Callable[[RepositorySettings], RepositorySettings],
        condition: Condition,
    ) -> RepositoryRow:
        """Set what ``change`` makes of the present settings.

        A shorter recovery window holds for what is dead already. Raises :class:`NameUnknown`,
        :class:`~registry.errors.PreconditionFailed`.
        """
        self._authorizer.require(actor, Action.ADMIN, name)

        def work(connection: Connection) -> RepositoryRow:
            row = _lock(connection, name, condition)
            wanted = change(RepositorySettings(row.description, row.allow_sparse, row.recovery_seconds))
            window = self._reviews.window_ms(connection, row.id)
            values = {f"b_{setting}": value for setting, value in asdict(wanted).items()}
            connection.execute(_CHANGE, {"b_id": row.id, **values})
            now = self._database.now(connection)
            told = {
                "description": wanted.description,
                "allowSparse": wanted.allow_sparse,
                "recoverySeconds": wanted.recovery_seconds,
            }
            self._outbox.record(connection, now, REPOSITORY_CHANGED, row.id, "", actor, told)
            if self._reviews.window_ms(connection, row.id) < window:
                self._reviews.hasten(connection, row.id, now + self._reviews.grace_ms)
            return _lock(connection, name)

        return self._database.write(work)

    def rename(self, actor: Actor, name: RepositoryName, to: RepositoryName, condition: Condition) -> RepositoryRow:
        """Give a repository another name; the old one is free then, and leads nowhere.

        Raises :class:`NameUnknown`, :class:`NameTaken`, :class:`~registry.errors.PreconditionFailed`.
        """
        self._authorizer.require(actor, Action.ADMIN, name)
        self._authorizer.require(actor, Action.PUSH, to)

        def work(connection: Connection) -> RepositoryRow:
            row = _lock(connection, name, condition)
            if to == name:
                return row
            self._require_free(connection, to)
            namespace = ensure_namespace(self._database, connection, to)
            connection.execute(_RENAME, {"b_id": row.id, "b_name": to.value, "b_namespace": namespace})
            now, told = self._database.now(connection), {"previous": name.value}
            self._outbox.record(connection, now, REPOSITORY_RENAMED, row.id, "", actor, told)
            return _lock(connection, to)

        return self._database.write(work)

    def delete(self, actor: Actor, name: RepositoryName, condition: Condition, *, force: bool = False) -> RepositoryRow:
        """Delete a repository: gone at once for clients, restorable while its recovery window lasts.

        Raises :class:`NameUnknown`, :class:`~registry.errors.PreconditionFailed`, and unless ``force`` is given
        :class:`TagImmutable` where one of its tags must stay.
        """
        self._authorizer.require(actor, Action.DELETE, name)

        def work(connection: Connection) -> RepositoryRow:
            row = _lock(connection, name, condition)
            now = self._database.now(connection)
            if not force:
                self._refuse_protected(connection, now, row)
            due = now + self._reviews.window_ms(connection, row.id)
            connection.execute(_DELETE, {"b_id": row.id, "b_now": now})
            self._reviews.repository(connection, row.id, due)
            self._outbox.record(connection, now, REPOSITORY_DELETED, row.id, "", actor, {})
            return row._replace(deleted_at=now)

        return self._database.write(work)

    def undelete(self, actor: Actor, name: RepositoryName, repository_id: int | None = None) -> RepositoryRow:
        """Put back the repository of this name that was deleted last, or the one with ``repository_id``.

        Raises :class:`NameTaken`, or :class:`NameUnknown` where there is none or its window is over.
        """
        self._authorizer.require(actor, Action.ADMIN, name)

        def work(connection: Connection) -> RepositoryRow:
            row = _lock_deleted(connection, name, repository_id)
            deleted, now = row.deleted_at or 0, self._database.now(connection)
            if now >= deleted + self._reviews.window_ms(connection, row.id):
                raise NameUnknown(
                    "it can no longer be restored: its recovery window is over", detail={"name": row.name}
                )
            self._require_free(connection, name)
            connection.execute(_UNDELETE, {"b_id": row.id})
            self._outbox.record(connection, now, REPOSITORY_RESTORED, row.id, "", actor, {})
            return _lock(connection, name)

        return self._database.write(work)

    def _require_free(self, connection: Connection, name: RepositoryName) -> None:
        if find_repository(connection, name) is not None:
            raise NameTaken(detail={"name": name.value})

    def _refuse_protected(self, connection: Connection, now: int, row: RepositoryRow) -> None:
        tags = map(Period._make, connection.execute(_TAGS, {"repository": row.id}))
        living = [tag for tag in tags if is_alive(tag, now)]
        reasons = self._protection.reasons(connection, now, row.id, living)
        for tag, reason in zip(living, reasons, strict=True):
            if reason is not None:
                raise TagImmutable(
                    f"its tag {tag.name} is immutable: {reason}; force deletes it nevertheless",
                    detail={"name": row.name, "tag": tag.name, "reason": reason},
                )


def _lock(connection: Connection, name: RepositoryName, condition: Condition | None = None) -> RepositoryRow:
    found = connection.execute(_LOCK, {"name": name.value}).first()
    if found is None:
        raise NameUnknown(detail={"name": name.value})
    row = RepositoryRow._make(found)
    if condition is not None:
        condition.require(row.revision)
    return row


def _lock_deleted(connection: Connection, name: RepositoryName, repository_id: int | None) -> RepositoryRow:
    statement = _LOCK_DELETED if repository_id is None else _LOCK_CHOSEN
    found = connection.execute(statement, {"name": name.value, "id": repository_id}).first()
    if found is None:
        raise NameUnknown("no deleted repository of this name can be restored", detail={"name": name.value})
    return RepositoryRow._make(found)
