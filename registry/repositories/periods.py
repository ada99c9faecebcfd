"""The periods of tags: which manifest a name stood for, from when to when, and why that ended.

A name has at most one row with ``current`` = 1; it is alive while its end is null or ahead. Moving a tag ends
the old period where the new one starts, so periods never overlap. Everything here runs in the caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, false, insert, null, select

from registry.access.actors import Actor
from registry.content.reviews import Reviews
from registry.db.base import table
from registry.db.engine import Conflict, Database
from registry.db.models import Repository, Tag
from registry.events.outbox import Outbox
from registry.names import TagName
from registry.repositories.current import CURRENT, current_needing, current_of_manifest, is_alive, unended
from registry.repositories.label_effects import goes_on, labelled_end
from registry.repositories.period_changes import END, RELABEL, SET, as_read
from registry.repositories.protection import Protection
from registry.repositories.tag_events import TagEvents
from registry.repositories.tag_values import EndReason, ExpirySource, Family, Period, TagEffects, TagTarget

_TAG = table(Tag)
_LATEST = (
    select(*(getattr(Tag, column) for column in Period._fields), Tag.current)
    .where(Tag.repository_id == bindparam("repository"), Tag.name == bindparam("tag"))
    .order_by(Tag.lifetime_start_ms.desc())
    .limit(1)
)
_LAST_END = (
    select(Tag.lifetime_end_ms)
    .where(Tag.repository_id == bindparam("repository"), Tag.name == bindparam("tag"), Tag.current.is_(None))
    .order_by(Tag.lifetime_start_ms.desc())
    .limit(1)
)
_IN_TURN = select(Repository.id).where(Repository.id == bindparam("repository")).with_for_update(key_share=True)
_COLUMNS = (
    "repository_id",
    "name",
    "manifest_id",
    "digest",
    "lifetime_start_ms",
    "lifetime_end_ms",
    "reversion",
    "label_immutable",
    "expiry_source",
    "family",
    "actor",
)
_INSERT = insert(_TAG).values(
    current=1, immutable=false(), end_reason=null(), **{column: bindparam(column) for column in _COLUMNS}
)
_OLDER = (
    CURRENT.where(
        Tag.repository_id == bindparam("repository"),
        Tag.family == bindparam("family"),
        unended(bindparam("now")),
    )
    # By their ids, which go up even where the clock does not: what was just made is the newest.
    .order_by(Tag.id.desc())
    .offset(bindparam("last"))
)


class Periods:
    """Starts and ends periods, queues reviews of what they held, and tells of all that."""

    def __init__(self, database: Database, reviews: Reviews, protection: Protection, outbox: Outbox) -> None:
        """Refuse what ``protection`` forbids; write events to ``outbox``."""
        self.events = TagEvents(database, outbox)
        self._find_latest = database.prepare(_LATEST)
        self._find_last_end = database.prepare(_LAST_END)
        self._insert = database.prepare_change(_INSERT)
        self._end = database.prepare_change(END)
        self._set = database.prepare_change(SET)
        self._relabel = database.prepare_change(RELABEL)
        self._reviews = reviews
        self._protection = protection

    def set(
        self, connection: Connection, now: int, repository_id: int, name: TagName, target: TagTarget, actor: Actor
    ) -> str | None:
        """Make ``name`` stand for ``target`` from now on, and return the digest it stood for until now, if any.

        Its own manifest again makes no new period, unless the tag has an end: then a new one starts, so that a
        nightly push of an unchanged image extends its life. Raises :class:`~registry.errors.TagImmutable`.
        """
        if target.effects.family is not None:
            connection.execute(_IN_TURN, {"repository": repository_id})
        row, start = self._latest(connection, now, repository_id, name)
        previous = row.digest if row is not None and is_alive(row, now) else None
        effects = self._protection.settle(connection, now, repository_id, name, target.effects)
        if row is not None:
            same = row.manifest_id == target.manifest_id
            if same and previous is not None and goes_on(row, effects):
                self._label(connection, now, repository_id, row, effects, actor)
                return previous
            if not same and previous is not None:
                self._protection.refuse(connection, now, repository_id, [row])
            self.end(connection, repository_id, start, [row], EndReason.MOVED, actor)
        end = None if effects.lives_ms is None else start + effects.lives_ms
        self._insert(
            connection,
            {
                "repository_id": repository_id,
                "name": name.value,
                "manifest_id": target.manifest_id,
                "digest": target.digest,
                "lifetime_start_ms": start,
                "lifetime_end_ms": end,
                "reversion": target.reversion,
                "label_immutable": effects.immutable,
                "expiry_source": None if end is None else ExpirySource.LABEL,
                "family": None if effects.family is None else effects.family.name,
                "actor": actor.principal,
            },
        )
        self.events.started(connection, repository_id, name.value, target, (start, end), previous, actor)
        if row is None:
            self._require_last(connection, repository_id, name, start)
        if end is not None:
            self._reviews.after_window(connection, repository_id, [target.manifest_id], end)
        if effects.family is not None:
            self._thin(connection, start, repository_id, effects.family, actor)
        return previous

    def _latest(self, connection: Connection, now: int, repository_id: int, name: TagName) -> tuple[Period | None, int]:
        """Return a name's current period, and when the next one can start: after all that were."""
        row = self._find_latest(connection, {"repository": repository_id, "tag": name.value})
        if row is None:
            return None, now
        last, current = Period._make(row[:-1]), row[-1]
        if current is None:
            return None, max(now, last.lifetime_end_ms or 0)
        return last, max(now, last.lifetime_start_ms + 1)

    def _require_last(self, connection: Connection, repository_id: int, name: TagName, start: int) -> None:
        """Raise :class:`Conflict` where a whole period began and ended between the look at a name and its new row.

        Nothing was current then, so no row could be held; now the new one is, and who comes next waits for it.
        """
        ended = self._find_last_end(connection, {"repository": repository_id, "tag": name.value})
        if ended is not None and ended[0] > start:
            raise Conflict

    def end(
        self,
        connection: Connection,
        repository_id: int,
        end: int,
        rows: Sequence[Period],
        reason: EndReason,
        actor: Actor,
    ) -> None:
        """End current periods at ``end``, or just after their start; one that lapsed before keeps its end.

        Raises :class:`Conflict` where one was changed since it was read.
        """
        for row in rows:
            old = row.lifetime_end_ms
            if lapsed := old is not None and old <= end:
                self.events.lapsed(connection, end, repository_id, row.id, row.name, row.digest, old)
            ended = self._end(
                connection,
                {
                    **as_read(row),
                    "b_end": old if lapsed else max(end, row.lifetime_start_ms + 1),
                    "b_reason": EndReason.EXPIRED if lapsed else reason,
                },
            )
            if ended != 1:
                raise Conflict
            if not lapsed:
                self.events.ended(connection, end, repository_id, row, reason, actor)
        held = [row.manifest_id for row in rows if row.manifest_id is not None]
        self._reviews.after_window(connection, repository_id, held, end)

    def delete(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        rows: Sequence[Period],
        reason: EndReason,
        actor: Actor,
    ) -> None:
        """End living periods unless one is protected; raises :class:`~registry.errors.TagImmutable`."""
        self._protection.refuse(connection, now, repository_id, [row for row in rows if is_alive(row, now)])
        self.end(connection, repository_id, now, rows, reason, actor)

    def delete_of_manifest(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        manifest_id: int,
        reason: EndReason,
        actor: Actor,
    ) -> None:
        """End all tags of a manifest.

        Raises :class:`~registry.errors.TagImmutable`, also where a tag must stay of an index that it is a part of.
        """
        rows = current_needing(connection, manifest_id)
        above = [row for row in rows if row.manifest_id != manifest_id and is_alive(row, now)]
        self._protection.refuse(connection, now, repository_id, above, part=True)
        own = [row for row in rows if row.manifest_id == manifest_id]
        self.delete(connection, now, repository_id, own, reason, actor)

    def change(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        row: Period,
        ends: tuple[int | None, str | None],
        immutable: bool,  # noqa: FBT001 - a value of the row
        actor: Actor,
    ) -> None:
        """Give a living period an end, with who set it, and protection by hand; raises :class:`Conflict`."""
        values = {"b_end": ends[0], "b_source": ends[1], "b_immutable": immutable}
        if self._set(connection, {**as_read(row), **values}) != 1:
            raise Conflict  # it is not as it was read
        protected = immutable or row.label_immutable
        self.events.updated(connection, now, repository_id, row, ends[0], protected, actor)

    def apply_labels(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        manifest_id: int,
        effects: TagEffects,
        actor: Actor,
    ) -> None:
        """Let changed labels act on the living tags of a manifest, from each tag's own start.

        An end that the API set stays, unless labels make the tag immutable; one that would lie in the past is now.
        """
        if effects.family is not None:
            connection.execute(_IN_TURN, {"repository": repository_id})
        for row in current_of_manifest(connection, manifest_id):
            if is_alive(row, now):
                start, name = row.lifetime_start_ms, TagName.parse(row.name)
                settled = self._protection.settle(connection, start, repository_id, name, effects)
                self._label(connection, now, repository_id, row, settled, actor)

    def _label(
        self, connection: Connection, now: int, repository_id: int, row: Period, effects: TagEffects, actor: Actor
    ) -> None:
        """Let labels act on a living period, where they do not yet; raises :class:`Conflict` as :meth:`end` does."""
        end, source = labelled_end(now, row, effects)
        family = None if effects.family is None else effects.family.name
        found = (row.lifetime_end_ms, row.expiry_source, row.label_immutable, row.family)
        if found == (end, source, effects.immutable, family):
            return
        values = {"b_end": end, "b_source": source, "b_immutable": effects.immutable, "b_family": family}
        if self._relabel(connection, {**as_read(row), **values}) != 1:
            raise Conflict
        protected = effects.immutable or row.immutable
        self.events.updated(connection, now, repository_id, row, end, protected, actor)
        if end is not None and row.manifest_id is not None:
            self._reviews.after_window(connection, repository_id, [row.manifest_id], end)
        if effects.family is not None:
            self._thin(connection, now, repository_id, effects.family, actor)

    def _thin(self, connection: Connection, now: int, repository_id: int, family: Family, actor: Actor) -> None:
        """End the oldest tags of a family that has more than it keeps; protected ones stay and count.

        Who adds to a family has taken its turn: nobody else is about to.
        """
        values = {"repository": repository_id, "family": family.name, "last": family.last, "now": now}
        older = [Period._make(row) for row in connection.execute(_OLDER, values)]
        reasons = self._protection.reasons(connection, now, repository_id, older)
        gone = [row for row, reason in zip(older, reasons, strict=True) if reason is None]
        self.end(connection, repository_id, now, gone, EndReason.KEEP_LAST, actor)
