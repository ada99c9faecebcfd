"""What tags stood for, and when: a repository's history, page by page, and as it was at any time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, Row, Select, and_, bindparam, func, or_, select
from sqlalchemy.orm import aliased

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.db.engine import Database
from registry.db.models import Manifest, Tag
from registry.errors import ManifestUnknown
from registry.names import RepositoryName, TagName
from registry.pages import Page, cut
from registry.repositories.current import alive, as_text, explain_missing, unended
from registry.repositories.protection import Protection, reason_of
from registry.repositories.repositories import require_repository
from registry.revisions import Condition, revision_of

_NEWEST = 1 << 62
_ABOVE_ALL = "\x7f"
"""Sorts behind every character of a tag."""


class TagPeriod(NamedTuple):
    """One period of a tag, as it is shown. Times are in milliseconds.

    ``current`` is 1 for the last period of a name that was neither moved nor deleted; it may have lapsed.
    ``manifest_id``, ``size``, ``media_type`` and ``deleted_at`` are of the manifest, and None where the repository
    has it no longer. ``rule`` is the name of the rule that makes a living period immutable, where that was asked.
    """

    id: int
    name: str
    digest: str
    start_ms: int
    end_ms: int | None
    end_reason: str | None
    expiry_source: str | None
    current: int | None
    reversion: bool
    immutable: bool
    label_immutable: bool
    actor: str
    manifest_id: int | None
    size: int | None
    media_type: str | None
    deleted_at: int | None
    rule: str | None = None

    @property
    def restorable(self) -> bool:
        """Whether the repository still has the manifest, or has it again."""
        return self.manifest_id is not None

    @property
    def protection(self) -> str | None:
        """Who made it immutable, in words, or None."""
        return reason_of(immutable=self.immutable, by_label=self.label_immutable, rule=self.rule)

    @property
    def revision(self) -> str:
        """A text that changes whenever something of a current period is changed."""
        flags = (bool(self.immutable), bool(self.label_immutable))
        return revision_of(self.id, self.end_ms, self.expiry_source, self.current, *flags)

    def alive_at(self, now: int) -> bool:
        """Tell whether this was what the name stood for at ``now``."""
        return self.start_ms <= now and (self.end_ms is None or self.end_ms > now)

    def reason(self, now: int) -> str | None:
        """Return why the period ended, or None while it has not."""
        if self.end_ms is None or self.end_ms > now:
            return None
        return self.end_reason or "expired"


_AGAIN = aliased(Manifest)
_PUSHED_AGAIN = (
    select(_AGAIN.id)
    .where(_AGAIN.repository_id == Tag.repository_id, _AGAIN.digest == Tag.digest)
    .correlate(Tag)
    .scalar_subquery()
)
_SHOWN = select(
    Tag.id,
    Tag.name,
    Tag.digest,
    Tag.lifetime_start_ms,
    Tag.lifetime_end_ms,
    Tag.end_reason,
    Tag.expiry_source,
    Tag.current,
    Tag.reversion,
    Tag.immutable,
    Tag.label_immutable,
    Tag.actor,
    Manifest.id,
    Manifest.size,
    Manifest.media_type,
    Manifest.deleted_at,
    # What was collected may have been pushed again; only for such a period that has to be looked up by digest.
).outerjoin(Manifest, Manifest.id == func.coalesce(Tag.manifest_id, _PUSHED_AGAIN))
_IN = _SHOWN.where(Tag.repository_id == bindparam("repository"))
_AFTER = or_(
    Tag.lifetime_start_ms < bindparam("before"),
    and_(Tag.lifetime_start_ms == bindparam("before"), Tag.id < bindparam("before_id")),
)
_HISTORY = (
    _IN.where(_AFTER, Tag.lifetime_start_ms >= bindparam("since"), Tag.lifetime_start_ms <= bindparam("until"))
    .order_by(Tag.lifetime_start_ms.desc(), Tag.id.desc())
    .limit(bindparam("limit"))
)
_HISTORY_OF_TAG = _HISTORY.where(Tag.name == bindparam("name"))
_HISTORY_OF_TAGS = _HISTORY.where(Tag.name >= bindparam("from"), Tag.name < bindparam("to"))
_THEN = and_(Tag.lifetime_start_ms <= bindparam("time"), unended(bindparam("time")))
_LAST_STARTED = (
    _IN.where(Tag.name == bindparam("name"), Tag.lifetime_start_ms <= bindparam("time"))
    .order_by(Tag.lifetime_start_ms.desc())
    .limit(1)
)
_OF_TAG = _IN.where(Tag.name == bindparam("name")).order_by(Tag.lifetime_start_ms.desc()).limit(1)
_LAST_OF_DIGEST = _OF_TAG.where(Tag.digest == bindparam("digest"))
_LAST_OTHER = _OF_TAG.where(Tag.digest != bindparam("digest"))
_CURRENT = _IN.where(Tag.current == 1, Tag.name == bindparam("name"))
_ALL_THEN = _IN.where(_THEN, Tag.name > bindparam("last")).order_by(Tag.name).limit(bindparam("limit"))
_LIVING = _IN.where(alive(bindparam("time")), Tag.name > bindparam("last")).order_by(Tag.name).limit(bindparam("limit"))


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which periods: those that started between two times (milliseconds), both included.

    And those of one ``tag``, or of all whose names start with ``prefix``.
    """

    tag: TagName | None = None
    since_ms: int = 0
    until_ms: int = _NEWEST
    prefix: str = ""


class HistoryService:
    """Reads the periods of tags."""

    def __init__(self, database: Database, authorizer: Authorizer, protection: Protection) -> None:
        """Read from ``database``, as far as ``authorizer`` allows; ``protection`` knows the rules."""
        self._database = database
        self._authorizer = authorizer
        self._protection = protection

    def history(
        self,
        actor: Actor,
        repository: RepositoryName,
        wanted: HistoryFilter,
        limit: int,
        before: tuple[int, int] | None,
    ) -> Page[TagPeriod]:
        """Return at most ``limit`` periods, newest first, that started before ``before`` (a period's start and id)."""
        self._authorizer.require(actor, Action.PULL, repository)
        start, row_id = before or (_NEWEST, 0)
        values: dict[str, object] = {
            "before": start,
            "before_id": row_id,
            "since": wanted.since_ms,
            "until": wanted.until_ms,
            "limit": limit + 1,
        }
        statement = _HISTORY
        if wanted.tag is not None:
            statement, values["name"] = _HISTORY_OF_TAG, wanted.tag.value
        elif wanted.prefix:
            statement, values["from"], values["to"] = _HISTORY_OF_TAGS, wanted.prefix, wanted.prefix + _ABOVE_ALL
        return self._page(repository, statement, values, limit)

    def list(self, actor: Actor, repository: RepositoryName, limit: int, last: str) -> Page[TagPeriod]:
        """Return at most ``limit`` living tags with their details, in bytewise order of names after ``last``."""
        self._authorizer.require(actor, Action.PULL, repository)
        return self._page(repository, _LIVING, {"last": last, "limit": limit + 1}, limit)

    def as_of(self, actor: Actor, repository: RepositoryName, time_ms: int, limit: int, last: str) -> Page[TagPeriod]:
        """Return at most ``limit`` tags as they stood at a time, in bytewise order of names after ``last``."""
        self._authorizer.require(actor, Action.PULL, repository)
        return self._page(repository, _ALL_THEN, {"time": time_ms, "last": last, "limit": limit + 1}, limit)

    def describe(self, actor: Actor, repository: RepositoryName, tag: TagName) -> TagPeriod:
        """Return a living tag; raises :class:`ManifestUnknown` that says when and why it ended."""
        self._authorizer.require(actor, Action.PULL, repository, tag.value)
        with self._database.read() as connection:
            repository_id, now = require_repository(connection, repository), self._database.now(connection)
            found = self.current(connection, repository_id, tag)
            if found is None or (found.end_ms is not None and found.end_ms <= now):
                raise explain_missing(connection, repository_id, tag)
            return with_rules(connection, self._protection, now, repository_id, [found])[0]

    def describe_as_of(self, actor: Actor, repository: RepositoryName, tag: TagName, time_ms: int) -> TagPeriod:
        """Return what a tag stood for at a time; raises :class:`ManifestUnknown` that says why there is nothing."""
        self._authorizer.require(actor, Action.PULL, repository, tag.value)
        with self._database.read() as connection:
            return self.stood_for(connection, require_repository(connection, repository), tag, time_ms)

    @staticmethod
    def stood_for(connection: Connection, repository_id: int, tag: TagName, time_ms: int) -> TagPeriod:
        """Return the period of a tag that covers a time; raises :class:`ManifestUnknown`."""
        values = {"repository": repository_id, "name": tag.value, "time": time_ms}
        row = connection.execute(_LAST_STARTED, values).first()
        found = None if row is None else _period(row)
        if found is not None and found.alive_at(time_ms):
            return found
        detail = {"tag": tag.value, "time": as_text(time_ms)}
        if found is None or found.end_ms is None:
            raise ManifestUnknown("the tag did not exist at that time", detail=detail)
        when, reason = as_text(found.end_ms), found.end_reason or "expired"
        raise ManifestUnknown(
            f"the tag's life ended at {when} ({reason})", detail={**detail, "ended": when, "reason": reason}
        )

    @staticmethod
    def last_other(connection: Connection, repository_id: int, tag: TagName, digest: str | None) -> TagPeriod:
        """Return the last period of a tag that stood for ``digest``, or (None) for another than it stands for now.

        Raises :class:`ManifestUnknown` where there was none.
        """
        current = HistoryService.current(connection, repository_id, tag)
        present = current.digest if current is not None and current.end_ms is None else None
        values: dict[str, object] = {"repository": repository_id, "name": tag.value, "digest": digest or present or ""}
        row = connection.execute(_LAST_OTHER if digest is None else _LAST_OF_DIGEST, values).first()
        if row is None:
            wanted = "another manifest" if digest is None else "that manifest"
            raise ManifestUnknown(f"the tag never stood for {wanted}", detail={"tag": tag.value, "digest": digest})
        return _period(row)

    @staticmethod
    def current(connection: Connection, repository_id: int, tag: TagName) -> TagPeriod | None:
        """Return a tag's current period, alive or lapsed, in the caller's transaction."""
        row = connection.execute(_CURRENT, {"repository": repository_id, "name": tag.value}).first()
        return None if row is None else _period(row)

    def _page(
        self,
        repository: RepositoryName,
        statement: Select[*tuple[object, ...]],
        values: dict[str, object],
        limit: int,
    ) -> Page[TagPeriod]:
        with self._database.read() as connection:
            repository_id, now = require_repository(connection, repository), self._database.now(connection)
            rows = connection.execute(statement, {"time": now, **values, "repository": repository_id}).all()
            periods = [_period(row) for row in rows]
            return cut(with_rules(connection, self._protection, now, repository_id, periods), limit)


def with_rules(
    connection: Connection, protection: Protection, now: int, repository_id: int, periods: Sequence[TagPeriod]
) -> list[TagPeriod]:
    """Return periods with the names of the rules that make the living ones immutable."""
    rules = protection.rules(connection, repository_id)
    if not rules.rules:
        return list(periods)
    found = []
    for period in periods:
        living = period.current is not None and period.alive_at(now)
        rule = rules.protecting(period.name, period.start_ms, period.end_ms, now) if living else None
        found.append(period if rule is None else period._replace(rule=rule.name))
    return found


def require_revision(connection: Connection, now: int, repository_id: int, tag: TagName, condition: Condition) -> None:
    """Compare with what the tag is now; one that does not exist, or has lapsed, is nothing."""
    if condition != Condition():
        found = HistoryService.current(connection, repository_id, tag)
        lapsed = found is not None and found.end_ms is not None and found.end_ms <= now
        condition.require(None if found is None or lapsed else found.revision)


def _period(row: Row[*tuple[object, ...]]) -> TagPeriod:
    return TagPeriod(*row)  # type: ignore[arg-type] # the columns of _SHOWN, in order
