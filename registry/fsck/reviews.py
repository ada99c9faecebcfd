"""Whatever can come to its end has a review, or hangs on something that has one: else nothing would ever remove it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, not_, or_, select
from sqlalchemy.orm import aliased

from registry.collection.roots import FOR_EVER, Walk, place
from registry.db.engine import Database
from registry.db.models import GcReview, Manifest, ManifestChild, PurgedDigest, Repository, Tag
from registry.db.models.work import MANIFEST
from registry.fsck.findings import Finding, Kind, Severity
from registry.fsck.repairs import Repairs
from registry.fsck.scanning import AnySelect, Fault, Scanner

_REVIEWED = (
    select(GcReview.id)
    .where(
        GcReview.kind == MANIFEST,
        GcReview.repository_id == bindparam("repository"),
        GcReview.target.in_(bindparam("ids", expanding=True)),
    )
    .limit(1)
)


def _reviewed(manifest: Any) -> ColumnElement[bool]:  # noqa: ANN401 - the model or an alias of it
    return exists().where(
        GcReview.kind == MANIFEST,
        GcReview.repository_id == manifest.repository_id,
        GcReview.target == manifest.id,
    )


def _held(manifest: Any) -> ColumnElement[bool]:  # noqa: ANN401 - the model or an alias of it
    """Return the condition that something without an end holds a manifest itself."""
    tagged = exists().where(Tag.manifest_id == manifest.id, Tag.current == 1, Tag.lifetime_end_ms.is_(None))
    return and_(manifest.deleted_at.is_(None), or_(manifest.untagged_pin, manifest.label_pin, tagged))


def _suspects() -> AnySelect:
    """Return manifests for which neither they themselves nor what is right above them answers."""
    parent, subject = aliased(Manifest), aliased(Manifest)
    by_parent = exists().where(
        ManifestChild.repository_id == Manifest.repository_id,
        ManifestChild.digest == Manifest.digest,
        parent.id == ManifestChild.manifest_id,
        or_(_held(parent), _reviewed(parent)),
    )
    by_subject = exists().where(
        Manifest.subject_digest != "",
        subject.repository_id == Manifest.repository_id,
        subject.digest == Manifest.subject_digest,
        or_(_held(subject), _reviewed(subject)),
    )
    alone = and_(not_(_held(Manifest)), not_(by_parent), not_(by_subject))
    return (
        select(
            Manifest.id.label("at"),
            Manifest.repository_id,
            Repository.name.label("repository"),
            Manifest.digest,
        )
        .join(Repository, Repository.id == Manifest.repository_id)
        .where(Repository.current == 1, not_(_reviewed(Manifest)), or_(Manifest.deleted_at.is_not(None), alone))
    )


class ReviewChecks:
    """Finds manifests that nothing would ever remove."""

    def __init__(self, database: Database, repairs: Repairs, *, window_ms: int, lease_ms: int) -> None:
        """Judge as a collector with this window does; a lease is at most ``lease_ms`` milliseconds long."""
        self._database = database
        self._window_ms = window_ms
        repository = Manifest.repository_id
        subject = "{repository}@{digest}"
        columns = (Manifest.id.label("at"), Repository.name.label("repository"), Manifest.digest, Manifest.lease_until)
        rows = select(*columns).outerjoin(Repository, Repository.id == Manifest.repository_id)
        self._unreviewed = Fault(
            Kind.MANIFEST_UNREVIEWED,
            _suspects(),
            Manifest.id,
            repository,
            subject,
            "nothing would ever remove it",
            repair=repairs.review_manifest,
        )
        pinned = and_(Manifest.deleted_at.is_not(None), or_(Manifest.untagged_pin, Manifest.label_pin))
        self.faults: Sequence[Fault] = (
            Fault(Kind.MANIFEST_PINNED, rows.where(pinned), Manifest.id, repository, subject, "deleted, and pinned"),
            Fault(
                Kind.PURGED_HERE,
                rows.where(exists().where(PurgedDigest.digest == Manifest.digest)),
                Manifest.id,
                repository,
                subject,
                "it was purged, and is here: purge it again",
            ),
            Fault(
                Kind.LEASE_AHEAD,
                rows.where(Manifest.lease_until > bindparam("now") + lease_ms),
                Manifest.id,
                repository,
                subject,
                "it is leased until {lease_until}, longer than leases are",
                severity=Severity.NOTE,
            ),
        )

    def look(self, scanner: Scanner, after: int, upto: int) -> Iterator[Finding]:
        """Yield the manifests of a window for which nobody answers, however far above."""
        for finding, row in scanner.pairs(self._unreviewed, after, upto):
            with self._database.read() as connection:
                answered = self._answered(connection, row.repository_id, row.at)
            if not answered:
                yield finding

    def _answered(self, connection: Connection, repository_id: int, manifest_id: int) -> bool:
        where = place(connection, repository_id, self._window_ms)
        if where is None:
            return True  # it went with its repository
        walk = Walk(connection, where, self._database.now(connection))
        until = walk.until(manifest_id)
        if until is None or until >= FOR_EVER:
            return True
        values = {"repository": repository_id, "ids": list(walk.visited)}
        return connection.execute(_REVIEWED, values).first() is not None
