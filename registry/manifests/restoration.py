"""Undoing more than one change: a deleted manifest with its tags, and a repository as it was at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from sqlalchemy import Connection, bindparam, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.batches import batched
from registry.db.engine import Conflict, Database
from registry.db.models import Manifest, Tag
from registry.digest import Digest
from registry.errors import Denied, InputInvalid, ManifestUnknown, NotRestorable, TagImmutable
from registry.manifests.label_service import LabelService, until_unchanged
from registry.manifests.labels import Judgement
from registry.manifests.restore_plan import Change, Planned, RestorePlanner
from registry.manifests.revival import Revival
from registry.manifests.rows import ContentChanged, ManifestRecord, ManifestRows
from registry.manifests.tagging import TagChanges
from registry.names import RepositoryName, TagName
from registry.pages import Page
from registry.repositories.current import as_text, find_current, is_alive
from registry.repositories.history import TagPeriod
from registry.repositories.listing import require_row
from registry.repositories.periods import Periods
from registry.repositories.repositories import require_repository
from registry.repositories.tag_values import EndReason
from registry.work.jobs import JobContext

_TOLD = 1000
_BATCH = 100
_MEANWHILE = "changed meanwhile"
_DELETED = select(Manifest.id, Manifest.media_type, Manifest.size, Manifest.subject_digest, Manifest.deleted_at).where(
    Manifest.repository_id == bindparam("repository"), Manifest.digest == bindparam("digest")
)
_ITS_TAGS = (
    select(Tag.name)
    .where(
        Tag.manifest_id == bindparam("manifest"),
        Tag.current.is_(None),
        Tag.end_reason == EndReason.MANIFEST_DELETED,
        Tag.lifetime_end_ms >= bindparam("deleted"),
    )
    .distinct()
    .order_by(Tag.name)
)


@dataclass(frozen=True, slots=True)
class RestoredManifest:
    """A manifest that came back, its tags that came back with it, and those that stand for something else by now."""

    digest: str
    tags: Sequence[str]
    taken: Sequence[str]


@dataclass(frozen=True, slots=True)
class RestorationParts:
    """What brings manifests themselves back."""

    rows: ManifestRows
    revival: Revival


class Restoration:
    """Restores manifests and repositories."""

    def __init__(
        self,
        database: Database,
        authorizer: Authorizer,
        planner: RestorePlanner,
        periods: Periods,
        labels: LabelService,
        changes: TagChanges,
        parts: RestorationParts,
    ) -> None:
        """Put tags back with ``changes``."""
        self._database = database
        self._authorizer = authorizer
        self._planner = planner
        self._periods = periods
        self._labels = labels
        self._changes = changes
        self._rows = parts.rows
        self._revival = parts.revival

    def manifest(self, actor: Actor, repository: RepositoryName, digest: Digest) -> RestoredManifest:
        """Bring a deleted manifest back, with the tags that its deletion ended.

        Raises :class:`ManifestUnknown` where there is none, :class:`NotRestorable` where parts of it are gone,
        :class:`~registry.errors.Denied` where one of its tags may not stand for it any more.
        """
        self._authorizer.require(actor, Action.PUSH, repository, str(digest))
        return until_unchanged(
            lambda: self._restored(actor, repository, digest, self._labels.judgement(repository, digest))
        )

    def _restored(
        self, actor: Actor, repository: RepositoryName, digest: Digest, judgement: Judgement
    ) -> RestoredManifest:
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            now = self._database.now(connection)
            its = [TagName(name) for name in _its_tags(connection, repository_id, digest)]
            asked = [tag for tag in its if not _is_taken(connection, now, repository_id, tag)]
        for tag in asked:
            self._authorizer.require(actor, Action.PUSH, repository, tag.value)
        admitted = self._changes.admit(actor, repository, asked, digest, judgement)

        def work(connection: Connection) -> RestoredManifest:
            repository_id = require_repository(connection, repository)
            now = self._database.now(connection)
            row = connection.execute(_DELETED, {"repository": repository_id, "digest": str(digest)}).first()
            if row is None or row.deleted_at is None:
                raise ManifestUnknown("this manifest is not a deleted one", detail={"digest": str(digest)})
            names = _its_tags(connection, repository_id, digest)
            self._revival.revive(connection, now, repository_id, row.id, judgement, actor)
            back, taken = [], []
            for name in names:
                tag = TagName.parse(name)
                if _is_taken(connection, now, repository_id, tag):
                    taken.append(name)
                    continue
                if tag not in asked:  # it is free, or one of its tags, only since plugins were asked
                    raise ContentChanged
                before = self._changes.put_back(connection, now, repository_id, tag, str(digest), judgement, actor)
                admitted.require_unchanged(tag, before)
                back.append(name)
            subject = Digest.parse(row.subject_digest) if row.subject_digest else None
            record = ManifestRecord(row.id, digest, row.media_type, row.size, subject)
            self._rows.settle_pins(connection, repository_id, record, ())
            return RestoredManifest(str(digest), back, taken)

        return self._database.write(work)

    def plan(self, actor: Actor, repository: RepositoryName, time_ms: int, limit: int, last: str) -> Page[Planned]:
        """Return what putting a repository back to a time would do to at most ``limit`` tags after ``last``.

        Raises :class:`InputInvalid` for a time that is yet to come, or before the repository was made.
        """
        self._authorizer.require(actor, Action.PULL, repository)
        self._require_past(repository, time_ms)
        found = list(islice(self._planner.planned(actor, repository, time_ms, last), limit + 1))
        return Page([planned for planned, _ in found[:limit]], more=len(found) > limit)

    def apply(self, repository: RepositoryName, time_ms: int, context: JobContext) -> Mapping[str, object]:
        """Put a repository back to a time, in small transactions; a tag that changes meanwhile is left alone.

        Returns how many tags were put back, moved and ended, and the first of those that could not be. Raises
        :class:`InputInvalid` as :meth:`plan` does.
        """
        actor = context.actor
        self._authorizer.require(actor, Action.PUSH, repository)
        self._require_past(repository, time_ms)
        counts = dict.fromkeys([*Change, _MEANWHILE], 0)
        stuck: list[str] = []
        pending = self._planner.planned(actor, repository, time_ms, "")
        done = 0
        for batch in batched(pending, _BATCH):
            if context.stopping():
                break
            for outcome, planned in self._carry_out(actor, repository, batch):
                counts[outcome] += 1
                if outcome in (Change.IMPOSSIBLE, Change.REFUSED) and len(stuck) < _TOLD:
                    stuck.append(f"{planned.tag}: {planned.why}")
            done += len(batch)
            context.progress(done)
        return {**{str(name): count for name, count in counts.items()}, "left": stuck}

    def _require_past(self, repository: RepositoryName, time_ms: int) -> None:
        """Refuse to put anything "back" to a time ahead, which would end what is only to lapse by then.

        Nor to one before the repository was made: that is a slip (seconds for milliseconds), and would end all tags.
        """
        with self._database.read() as connection:
            now, made = self._database.now(connection), require_row(connection, repository).created_ms
        if time_ms > now:
            raise InputInvalid("that time is yet to come", detail={"as_of": as_text(time_ms), "now": as_text(now)})
        if time_ms < made:
            detail = {"as_of": as_text(time_ms), "made": as_text(made)}
            raise InputInvalid("the repository was made after that time", detail=detail)

    def _carry_out(
        self, actor: Actor, repository: RepositoryName, batch: Sequence[tuple[Planned, TagPeriod | None]]
    ) -> Sequence[tuple[str, Planned]]:
        """Change some tags in one transaction, or where one of them cannot be, each in its own."""
        wanted = {planned.then for planned, _ in batch if planned.change in (Change.SET, Change.MOVE)}

        def attempt() -> Sequence[tuple[str, Planned]]:
            judged = self._judged(repository, [digest for digest in wanted if digest is not None])
            asked = [(self._asked(actor, repository, planned, judged), seen) for planned, seen in batch]

            def work(connection: Connection) -> Sequence[tuple[str, Planned]]:
                repository_id = require_repository(connection, repository)
                now = self._database.now(connection)
                return [
                    (self._change(connection, now, repository_id, planned, seen, judged, actor), planned)
                    for planned, seen in asked
                ]

            return self._database.write(work)

        try:
            return until_unchanged(attempt)
        except (NotRestorable, TagImmutable):
            if len(batch) == 1:
                return [(_MEANWHILE, planned) for planned, _ in batch]
            return [done for one in batch for done in self._carry_out(actor, repository, [one])]

    def _asked(
        self, actor: Actor, repository: RepositoryName, planned: Planned, judged: Mapping[str, Judgement]
    ) -> Planned:
        """Return what is left of a change once plugins were asked; what a tag stood for was seen with the plan."""
        if planned.change not in (Change.SET, Change.MOVE) or planned.then is None or planned.then not in judged:
            return planned
        try:
            digest, tags = Digest.parse(planned.then), [TagName(planned.tag)]
            self._changes.admit(actor, repository, tags, digest, judged[planned.then])
        except Denied as error:
            return replace(planned, change=Change.REFUSED, why=error.message)
        return planned

    def _change(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        planned: Planned,
        seen: TagPeriod | None,
        judged: Mapping[str, Judgement],
        actor: Actor,
    ) -> str:
        if planned.change not in (Change.SET, Change.MOVE, Change.END):
            return planned.change
        tag = TagName.parse(planned.tag)
        current = find_current(connection, repository_id, tag)
        alive = current if current is not None and is_alive(current, now) else None
        if (alive.id if alive else None) != (seen.id if seen else None):
            return _MEANWHILE
        if planned.change is Change.END and alive is not None:
            self._periods.delete(connection, now, repository_id, [alive], EndReason.RESTORED, actor)
        elif planned.then is not None:
            if planned.then not in judged:
                return _MEANWHILE
            judgement = judged[planned.then]
            before = self._changes.put_back(connection, now, repository_id, tag, planned.then, judgement, actor)
            if before != (alive.digest if alive else None):
                raise Conflict  # it was moved since it was looked at: the next look finds that
        return planned.change

    def _judged(self, repository: RepositoryName, digests: Sequence[str]) -> Mapping[str, Judgement]:
        found: dict[str, Judgement] = {}
        for digest in digests:
            try:
                found[digest] = self._labels.judgement(repository, Digest.parse(digest))
            except ManifestUnknown:
                continue  # collected since the plan
        return found


def _its_tags(connection: Connection, repository_id: int, digest: Digest) -> Sequence[str]:
    """Return the tags that the deletion of a manifest ended."""
    row = connection.execute(_DELETED, {"repository": repository_id, "digest": str(digest)}).first()
    if row is None or row.deleted_at is None:
        return ()
    return connection.scalars(_ITS_TAGS, {"manifest": row.id, "deleted": row.deleted_at}).all()


def _is_taken(connection: Connection, now: int, repository_id: int, tag: TagName) -> bool:
    current = find_current(connection, repository_id, tag)
    return current is not None and is_alive(current, now)
