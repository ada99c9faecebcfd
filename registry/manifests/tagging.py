"""Changes of tags through the API: moved, put back, given an end, protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.content.reviews import Reviews
from registry.db.engine import Conflict, Database
from registry.db.models import Manifest
from registry.digest import Digest
from registry.errors import ExpiryInvalid, ManifestUnknown, NotRestorable, TagImmutable
from registry.manifests.admitting import Admitted, Admitting
from registry.manifests.label_service import LabelService, until_unchanged
from registry.manifests.labels import Judgement
from registry.manifests.revival import Revival
from registry.names import RepositoryName, TagName
from registry.repositories.current import as_text, require_alive
from registry.repositories.history import HistoryService, TagPeriod, require_revision, with_rules
from registry.repositories.periods import Periods
from registry.repositories.protection import Protection, refusal
from registry.repositories.repositories import require_repository
from registry.repositories.tag_values import ExpirySource, LifeBounds, Period, TagTarget
from registry.revisions import Condition

_FIND = select(Manifest.id, Manifest.deleted_at).where(
    Manifest.repository_id == bindparam("repository"), Manifest.digest == bindparam("digest")
)


@dataclass(frozen=True, slots=True)
class TagEnd:
    """When a tag is to end, in milliseconds; None: never."""

    at_ms: int | None


@dataclass(frozen=True, slots=True)
class TagWish:
    """What is to be changed of a tag; None leaves it."""

    ends: TagEnd | None = None
    immutable: bool | None = None


class TagChanges:
    """Changes tags one by one."""

    def __init__(
        self,
        database: Database,
        authorizer: Authorizer,
        periods: Periods,
        protection: Protection,
        labels: LabelService,
        revival: Revival,
        reviews: Reviews,
        bounds: LifeBounds,
        admitting: Admitting,
    ) -> None:
        """Give tags lives within ``bounds``; ``labels`` say what else happens to a tag that is put back."""
        self._database = database
        self._authorizer = authorizer
        self._periods = periods
        self._protection = protection
        self._labels = labels
        self._revival = revival
        self._reviews = reviews
        self._bounds = bounds
        self._admitting = admitting

    def move(
        self, actor: Actor, repository: RepositoryName, tag: TagName, digest: Digest, condition: Condition
    ) -> TagPeriod:
        """Make a tag, new or not, stand for a manifest of the repository, as a push of it would.

        Raises :class:`ManifestUnknown`, :class:`NotRestorable` where parts of it are gone, :class:`TagImmutable`,
        :class:`~registry.errors.Denied`.
        """
        self._authorizer.require(actor, Action.PUSH, repository, tag.value)

        def attempt() -> TagPeriod:
            judgement = self._labels.judgement(repository, digest)
            admitted = self.admit(actor, repository, [tag], digest, judgement)

            def work(connection: Connection) -> TagPeriod:
                repository_id = require_repository(connection, repository)
                now = self._database.now(connection)
                require_revision(connection, now, repository_id, tag, condition)
                row = connection.execute(_FIND, {"repository": repository_id, "digest": str(digest)}).first()
                if row is None or row.deleted_at is not None:
                    raise ManifestUnknown(detail={"digest": str(digest)})
                self._revival.revive(connection, now, repository_id, row.id, judgement, actor)
                target = TagTarget(row.id, str(digest), judgement.effects)
                before = self._periods.set(connection, now, repository_id, tag, target, actor)
                admitted.require_unchanged(tag, before)
                return self._shown(connection, now, repository_id, tag)

            return self._database.write(work)

        return until_unchanged(attempt)

    def restore(
        self,
        actor: Actor,
        repository: RepositoryName,
        tag: TagName,
        *,
        digest: Digest | None,
        time_ms: int | None,
        condition: Condition,
    ) -> TagPeriod:
        """Put a tag back to what it stood for: at a time, for a digest, or (neither given) before its last change.

        A deleted manifest comes back with it. Raises :class:`ManifestUnknown` where the tag never stood for that,
        :class:`NotRestorable` once that is collected, :class:`TagImmutable`, :class:`~registry.errors.Denied`.
        """
        self._authorizer.require(actor, Action.PUSH, repository, tag.value)
        wanted = self._wanted(repository, tag, digest, time_ms)

        def attempt() -> TagPeriod:
            digest = Digest.parse(wanted.digest)
            judgement = self._labels.judgement(repository, digest)
            admitted = self.admit(actor, repository, [tag], digest, judgement)

            def work(connection: Connection) -> TagPeriod:
                repository_id = require_repository(connection, repository)
                now = self._database.now(connection)
                require_revision(connection, now, repository_id, tag, condition)
                before = self.put_back(connection, now, repository_id, tag, wanted.digest, judgement, actor)
                admitted.require_unchanged(tag, before)
                return self._shown(connection, now, repository_id, tag)

            return self._database.write(work)

        return until_unchanged(attempt)

    def admit(
        self, actor: Actor, repository: RepositoryName, tags: Sequence[TagName], digest: Digest, judgement: Judgement
    ) -> Admitted:
        """Ask whether tags may stand for a manifest; raises :class:`~registry.errors.Denied`."""
        return self._admitting.tags(
            actor.principal, repository, tags, digest, judgement.manifest, MappingProxyType(dict(judgement.labels))
        )

    def put_back(
        self,
        connection: Connection,
        now: int,
        repository_id: int,
        tag: TagName,
        digest: str,
        judgement: Judgement,
        actor: Actor,
    ) -> str | None:
        """Put a tag back in the caller's transaction, and return what it stood for; raises as :meth:`restore` does.

        Also raises :class:`~registry.manifests.rows.ContentChanged` where ``judgement`` is out of date.
        """
        row = connection.execute(_FIND, {"repository": repository_id, "digest": digest}).first()
        if row is None:
            raise NotRestorable("its manifest was removed for good", detail={"digest": digest})
        self._revival.revive(connection, now, repository_id, row.id, judgement, actor)
        target = TagTarget(row.id, digest, judgement.effects, reversion=True)
        return self._periods.set(connection, now, repository_id, tag, target, actor)

    def change(
        self, actor: Actor, repository: RepositoryName, tag: TagName, wanted: TagWish, condition: Condition
    ) -> TagPeriod:
        """Give a tag an end or none, and make it immutable or not, both in one step.

        Labels do not change an end that is set here; the life is kept within bounds, counted from the tag's start.
        Raises :class:`ExpiryInvalid` for a time that has passed, :class:`TagImmutable` where a tag would be immutable
        and have an end, :class:`ManifestUnknown`.
        """
        self._authorizer.require(actor, Action.PUSH, repository, tag.value)

        def work(connection: Connection) -> TagPeriod:
            repository_id = require_repository(connection, repository)
            now = self._database.now(connection)
            require_revision(connection, now, repository_id, tag, condition)
            row = require_alive(connection, now, repository_id, tag)
            end, source = row.lifetime_end_ms, row.expiry_source
            if wanted.ends is not None:
                at_ms, source = wanted.ends.at_ms, ExpirySource.API
                end = None if at_ms is None else self._bounded(now, row, at_ms)
            immutable = row.immutable if wanted.immutable is None else wanted.immutable
            if end is not None and wanted.immutable:
                ends = as_text(end)
                raise TagImmutable(
                    f"an immutable tag has no end, and {tag} ends at {ends}: clear that first",
                    detail={"tag": tag.value, "ends": ends},
                )
            if end is not None and wanted.ends is not None:
                changed = row._replace(lifetime_end_ms=end, immutable=immutable)
                self._require_mutable(connection, now, repository_id, changed, end - row.lifetime_start_ms)
            self._periods.change(connection, now, repository_id, row, (end, source), immutable, actor)
            if wanted.ends is not None and end is not None and row.manifest_id is not None:
                self._reviews.after_window(connection, repository_id, [row.manifest_id], end)
            return self._shown(connection, now, repository_id, tag)

        return self._database.write(work)

    def _bounded(self, now: int, row: Period, at_ms: int) -> int:
        if at_ms <= now:
            raise ExpiryInvalid("a tag ends in the future", detail={"tag": row.name, "at": as_text(at_ms)})
        end = row.lifetime_start_ms + self._bounds.within(at_ms - row.lifetime_start_ms)
        if end <= now:
            raise ExpiryInvalid(
                "the tag is older than the longest life that is allowed",
                detail={"tag": row.name, "since": as_text(row.lifetime_start_ms)},
            )
        return end

    def _require_mutable(
        self, connection: Connection, now: int, repository_id: int, row: Period, lives_ms: int
    ) -> None:
        """Raise :class:`TagImmutable` where a living tag is immutable, or would be at its end."""
        start = row.lifetime_start_ms
        reason = self._protection.reason(connection, now, repository_id, row) or self._protection.forbids_end(
            connection, repository_id, row.name, start, lives_ms
        )
        if reason is not None:
            raise refusal(row.name, reason)

    def _shown(self, connection: Connection, now: int, repository_id: int, tag: TagName) -> TagPeriod:
        found = HistoryService.current(connection, repository_id, tag)
        if found is None:
            raise Conflict  # it stood for that already, so nothing was changed, and it was deleted meanwhile
        return with_rules(connection, self._protection, now, repository_id, [found])[0]

    def _wanted(
        self, repository: RepositoryName, tag: TagName, digest: Digest | None, time_ms: int | None
    ) -> TagPeriod:
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            if time_ms is not None:
                found = HistoryService.stood_for(connection, repository_id, tag, time_ms)
            else:
                found = HistoryService.last_other(
                    connection, repository_id, tag, None if digest is None else str(digest)
                )
        if not found.restorable:
            raise NotRestorable(
                "its manifest was removed for good, as the recovery window is over",
                detail={"tag": tag.value, "digest": found.digest},
            )
        return found
