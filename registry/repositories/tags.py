"""Tags as periods: which manifest a name stood for, from when to when.

A name has at most one row with ``current`` = 1; it is alive while its end is null or ahead. Moving a tag ends
the old period where the new one starts, so periods never overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, insert, or_, select, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.db.base import table
from registry.db.engine import Conflict, Database
from registry.db.models import Tag
from registry.errors import ManifestUnknown
from registry.names import RepositoryName, TagName
from registry.pages import Page, cut
from registry.repositories.repositories import require_repository

_CURRENT = select(Tag.id, Tag.manifest_id, Tag.lifetime_start_ms, Tag.lifetime_end_ms).where(
    Tag.repository_id == bindparam("repository"), Tag.current == 1, Tag.name == bindparam("tag")
)
_TAG = table(Tag)
_INSERT = insert(_TAG)
_END = (
    update(_TAG)
    .where(_TAG.c.id == bindparam("b_id"), _TAG.c.current == 1)
    .values(current=None, lifetime_end_ms=bindparam("b_end"))
)
_LAST_PERIOD = (
    select(Tag.lifetime_end_ms)
    .where(Tag.repository_id == bindparam("repository"), Tag.name == bindparam("tag"))
    .order_by(Tag.lifetime_start_ms.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class TagTarget:
    """What a tag is to stand for, and for how long after its start (milliseconds; None: for ever)."""

    manifest_id: int
    digest: str
    lives_ms: int | None = None


def alive(now: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a tag's row is alive at ``now``."""
    return (Tag.current == 1) & or_(Tag.lifetime_end_ms.is_(None), Tag.lifetime_end_ms > now)


def set_tag(
    connection: Connection, now: int, repository_id: int, name: TagName, target: TagTarget, actor: Actor
) -> None:
    """Make ``name`` stand for ``target`` from now on.

    Its own manifest again makes no new period, unless the tag has an end: then a new one starts, so that a
    nightly push of an unchanged image extends its life.
    """
    row = connection.execute(_CURRENT, {"repository": repository_id, "tag": name.value}).first()
    start = now
    if row is not None:
        for_ever = row.lifetime_end_ms is None and target.lives_ms is None
        if row.manifest_id == target.manifest_id and for_ever:
            return
        start = max(now, row.lifetime_start_ms + 1)
        end_tags(connection, start, [row])
    period = {
        "repository_id": repository_id,
        "name": name.value,
        "manifest_id": target.manifest_id,
        "digest": target.digest,
        "lifetime_start_ms": start,
        "lifetime_end_ms": None if target.lives_ms is None else start + target.lives_ms,
        "current": 1,
        "actor": actor.principal,
    }
    connection.execute(_INSERT, period)


def end_tags(connection: Connection, end: int, rows: Sequence[Row[int, int | None, int, int | None]]) -> None:
    """End the periods of ``rows`` (id, manifest, start, end) at ``end``; one that lapsed before keeps its end."""
    for row in rows:
        old = row.lifetime_end_ms
        ended = connection.execute(_END, {"b_id": row.id, "b_end": end if old is None else min(old, end)})
        if ended.rowcount != 1:  # moved or deleted since it was read
            raise Conflict


def explain_missing(connection: Connection, repository_id: int, name: TagName) -> ManifestUnknown:
    """Return the error for a tag that is not alive; it says when its life ended, if it had one."""
    detail = {"tag": name.value}
    ended = connection.execute(_LAST_PERIOD, {"repository": repository_id, "tag": name.value}).first()
    if ended is None or ended[0] is None:
        return ManifestUnknown(detail=detail)
    when = datetime.fromtimestamp(ended[0] / 1000, UTC).isoformat(timespec="milliseconds")
    return ManifestUnknown(f"the tag's life ended at {when}", detail={**detail, "ended": when})


class TagService:
    """Lists and deletes tags."""

    def __init__(self, database: Database, authorizer: Authorizer) -> None:
        """Work on ``database``, as far as ``authorizer`` allows."""
        self._database = database
        self._authorizer = authorizer
        self._names = self._names_statement()

    def list(self, actor: Actor, repository: RepositoryName, limit: int, last: str) -> Page[str]:
        """Return at most ``limit`` names of living tags, in bytewise order after ``last``."""
        self._authorizer.require(actor, Action.PULL, repository)
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            values = {"repository": repository_id, "last": last, "limit": limit + 1}
            rows = connection.scalars(self._names, values).all()
        return cut(rows, limit)

    def delete(self, actor: Actor, repository: RepositoryName, name: TagName) -> None:
        """End the tag's life; its manifest and other tags stay. Raises :class:`ManifestUnknown`."""
        self._authorizer.require(actor, Action.DELETE, repository, name.value)

        def work(connection: Connection) -> None:
            repository_id = require_repository(connection, repository)
            now = self._database.now(connection)
            row = connection.execute(_CURRENT, {"repository": repository_id, "tag": name.value}).first()
            if row is None or (row.lifetime_end_ms is not None and row.lifetime_end_ms <= now):
                raise explain_missing(connection, repository_id, name)
            end_tags(connection, max(now, row.lifetime_start_ms + 1), [row])

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


def delete_tags_of(connection: Connection, now: int, manifest_id: int) -> None:
    """End every living tag of a manifest (it is being deleted)."""
    rows = connection.execute(
        select(Tag.id, Tag.manifest_id, Tag.lifetime_start_ms, Tag.lifetime_end_ms).where(
            Tag.manifest_id == manifest_id, Tag.current == 1
        )
    ).all()
    for row in rows:
        end_tags(connection, max(now, row.lifetime_start_ms + 1), [row])
