"""Labels of manifests through the API: listed, added and removed, with the actions that pushed labels have.

Plugins are asked before the transaction, about the labels as they will be; inside it, the mark of the labels tells
whether that still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.content.reviews import Reviews
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Label as LabelModel
from registry.db.models import Manifest
from registry.digest import Digest
from registry.errors import LabelInvalid, LabelRefused, LabelUnknown, ManifestUnknown, Unavailable
from registry.events.outbox import Outbox
from registry.events.types import MANIFEST_LABELLED, MANIFEST_UNLABELLED, EventType
from registry.hooks.facade import Hooks
from registry.hooks.ports import StorageDriver
from registry.hooks.types import ParsedManifest
from registry.manifests.content import RepositoryContent, as_stored
from registry.manifests.labels import (
    API,
    Judgement,
    Label,
    LabelVerdict,
    judge,
    labels_to_apply,
    log_warnings,
    media_type_of,
    together,
)
from registry.manifests.revival import reach
from registry.manifests.rows import ContentChanged
from registry.manifests.stored_labels import (
    ONE_LABEL,
    PAGE_OF_LABELS,
    StoredLabel,
    added_labels,
    mark,
    own_labels,
    require_room,
)
from registry.names import RepositoryName
from registry.pages import Page, cut
from registry.repositories.current import current_of_manifest
from registry.repositories.periods import Periods
from registry.repositories.repositories import require_repository
from registry.repositories.tag_values import LifeBounds

T = TypeVar("T")
MAX_KEY, MAX_VALUE = 1024, 64 * 1024
_ROUNDS = 5
_LABEL, _MANIFEST = table(LabelModel), table(Manifest)
_KEPT = select(_MANIFEST.c.id, _MANIFEST.c.digest, _MANIFEST.c.media_type, _MANIFEST.c.payload)
_ANY = _KEPT.where(_MANIFEST.c.repository_id == bindparam("repository"), _MANIFEST.c.digest == bindparam("digest"))
_ALIVE = _ANY.where(_MANIFEST.c.deleted_at.is_(None))
_DELETED = _KEPT.where(
    _MANIFEST.c.id.in_(bindparam("ids", expanding=True)), _MANIFEST.c.deleted_at.is_not(None)
).order_by(_MANIFEST.c.id)
_LOCK = (
    select(_MANIFEST.c.label_pin)
    .where(_MANIFEST.c.id == bindparam("id"), _MANIFEST.c.deleted_at.is_(None))
    .with_for_update()
)
_PIN = update(_MANIFEST).where(_MANIFEST.c.id == bindparam("b_id")).values(label_pin=bindparam("b_pin"))


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A stored manifest with its labels; ``mark`` is that of the added ones."""

    repository_id: int
    manifest_id: int
    digest: Digest
    media_type: str
    payload: bytes
    own: Sequence[Label]
    added: Sequence[Label]
    mark: tuple[int, int]


class LabelService:
    """Lists, adds and removes labels."""

    def __init__(
        self,
        database: Database,
        storage: StorageDriver,
        hooks: Hooks,
        authorizer: Authorizer,
        periods: Periods,
        reviews: Reviews,
        lives: LifeBounds,
        outbox: Outbox,
    ) -> None:
        """Run label actions of ``hooks``; ``periods`` change tags, whose lives stay within bounds."""
        self._database = database
        self._storage = storage
        self._hooks = hooks
        self._authorizer = authorizer
        self._periods = periods
        self._reviews = reviews
        self._lives = lives
        self._outbox = outbox

    def list(
        self, actor: Actor, repository: RepositoryName, digest: Digest, limit: int, after: int
    ) -> Page[StoredLabel]:
        """Return at most ``limit`` labels of a manifest after the id ``after``, oldest first.

        Raises :class:`ManifestUnknown`.
        """
        self._authorizer.require(actor, Action.PULL, repository, str(digest))
        with self._database.read() as connection:
            found = self._require(connection, repository, digest)
            values = {"manifest": found.manifest_id, "after": after, "limit": limit + 1}
            rows = connection.execute(PAGE_OF_LABELS, values).all()
        return cut([StoredLabel._make(row) for row in rows], limit)

    def add(self, actor: Actor, repository: RepositoryName, digest: Digest, key: str, value: str) -> StoredLabel:
        """Add a label, and let it act on all living tags of the manifest, from each tag's own start.

        A value that its action refuses is kept with a warning, as a pushed one is. Raises :class:`LabelInvalid`,
        :class:`ManifestUnknown`.
        """
        self._authorizer.require(actor, Action.PUSH, repository, str(digest))
        if not 0 < len(key) <= MAX_KEY or len(value) > MAX_VALUE or "\0" in key + value:
            raise LabelInvalid(
                f"a label has a key of 1 to {MAX_KEY} characters and a value of at most {MAX_VALUE}, without NUL",
                detail={"key": key[:64], "keyLength": len(key), "valueLength": len(value)},
            )
        media_type = media_type_of(value)

        def attempt() -> StoredLabel:
            found = self._find(actor, repository, digest)
            verdict = self._verdict(found, [*found.added, (key, value)])
            warning = verdict.warnings.get((key, value), "")
            row = {"key": key, "value": value, "media_type": media_type, "source": API, "warning": warning}

            def work(connection: Connection) -> StoredLabel:
                pinned = self._lock(connection, found)
                require_room(connection, found.manifest_id, len(key) + len(value))
                made = connection.execute(
                    insert(_LABEL).values(manifest_id=found.manifest_id, **row).returning(_LABEL.c.id)
                )
                now = self._tell(connection, MANIFEST_LABELLED, found, (key, value), actor)
                asked = [event for event in verdict.effects.events if (event.label, event.value) == (key, value)]
                place = found.repository_id
                self._periods.events.asked_for(connection, now, place, str(digest), None, asked, actor)
                self._apply(connection, found, verdict, actor, pinned=pinned)
                return StoredLabel(made.scalar_one(), **row)

            return self._database.write(work)

        made = until_unchanged(attempt)
        log_warnings(digest, {(key, value): made.warning} if made.warning else {})
        return made

    def remove(self, actor: Actor, repository: RepositoryName, digest: Digest, label_id: int) -> None:
        """Remove a label that the API added; what labels alone had set is worked out again.

        Raises :class:`LabelUnknown`, :class:`ManifestUnknown`, or :class:`LabelRefused` for what came with the content.
        """
        self._authorizer.require(actor, Action.PUSH, repository, str(digest))

        def attempt() -> None:
            found = self._find(actor, repository, digest)
            with self._database.read() as connection:
                gone = _require_removable(connection, found, label_id)
            left = list(found.added)
            if gone in left:  # else it went meanwhile, which the transaction sees
                left.remove(gone)
            verdict = self._verdict(found, left)

            def work(connection: Connection) -> None:
                pinned = self._lock(connection, found)
                connection.execute(delete(_LABEL).where(_LABEL.c.id == label_id))
                self._tell(connection, MANIFEST_UNLABELLED, found, gone, actor)
                self._apply(connection, found, verdict, actor, pinned=pinned)

            self._database.write(work)

        until_unchanged(attempt)

    def judgement(self, repository: RepositoryName, digest: Digest) -> Judgement:
        """Return what the labels of a manifest, deleted or not, make happen to a tag that is to stand for it.

        Raises :class:`ManifestUnknown`.
        """
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            row = connection.execute(_ANY, {"repository": repository_id, "digest": str(digest)}).first()
            if row is None:
                raise ManifestUnknown(detail={"digest": str(digest)})
            found = _labelled(connection, repository_id, row)
            below, _ = reach(connection, found.manifest_id)
            deleted = [
                _labelled(connection, repository_id, row)
                for row in connection.execute(_DELETED, {"ids": sorted(below)}).all()
            ]
        manifest, applied = self._applied(found)
        own = judge(self._hooks, [*applied.items(), *found.added], self._lives)
        pins = {str(one.digest): self._verdict(one, one.added).pin for one in deleted if one.digest != digest}
        if len(pins) < len(deleted):
            pins[str(digest)] = own.pin
        return Judgement(own.effects, found.mark, pins, manifest, together(applied, found.added))

    def _find(self, actor: Actor, repository: RepositoryName, digest: Digest) -> _Labelled:
        """Return a manifest for who may push each of its tags, on all of which a label acts."""
        with self._database.read() as connection:
            found = self._require(connection, repository, digest)
            tags = [row.name for row in current_of_manifest(connection, found.manifest_id)]
        for tag in tags:
            self._authorizer.require(actor, Action.PUSH, repository, tag)
        return found

    @staticmethod
    def _require(connection: Connection, repository: RepositoryName, digest: Digest) -> _Labelled:
        repository_id = require_repository(connection, repository)
        row = connection.execute(_ALIVE, {"repository": repository_id, "digest": str(digest)}).first()
        if row is None:
            raise ManifestUnknown(detail={"digest": str(digest)})
        return _labelled(connection, repository_id, row)

    def _verdict(self, found: _Labelled, added: Sequence[Label]) -> LabelVerdict:
        _, applied = self._applied(found)
        return judge(self._hooks, [*applied.items(), *added], self._lives)

    def _applied(self, found: _Labelled) -> tuple[ParsedManifest, Mapping[str, str]]:
        """Return a stored manifest, and the labels that take effect without those that were added."""
        own = dict(found.own)
        if not self._hooks.owns(found.media_type):  # its plugin was removed: nobody knows what it consists of
            return as_stored(found.media_type, found.payload), own
        content = RepositoryContent(self._database, self._storage, self._hooks, found.repository_id, deleted=True)
        parsed = self._hooks.parse(found.media_type, found.payload)
        children = self._hooks.children(parsed)
        return parsed, labels_to_apply(self._hooks, content, parsed, children, own)

    @staticmethod
    def _lock(connection: Connection, found: _Labelled) -> bool:
        """Lock a manifest, and return whether it is pinned; raises :class:`ContentChanged` where it is another now."""
        row = connection.execute(_LOCK, {"id": found.manifest_id}).first()
        if row is None or mark(connection, found.manifest_id) != found.mark:
            raise ContentChanged
        return bool(row.label_pin)

    def _tell(self, connection: Connection, kind: EventType, found: _Labelled, label: Label, actor: Actor) -> int:
        """Tell of a label, and return the time."""
        now, told = self._database.now(connection), {"key": label[0], "value": label[1]}
        self._outbox.record(connection, now, kind, found.repository_id, str(found.digest), actor, told)
        return now

    def _apply(
        self, connection: Connection, found: _Labelled, verdict: LabelVerdict, actor: Actor, *, pinned: bool
    ) -> None:
        now = self._database.now(connection)
        self._periods.apply_labels(connection, now, found.repository_id, found.manifest_id, verdict.effects, actor)
        if verdict.pin != pinned:
            connection.execute(_PIN, {"b_id": found.manifest_id, "b_pin": verdict.pin})
        if pinned and not verdict.pin:
            due = now + self._reviews.grace_ms
            self._reviews.manifests(connection, found.repository_id, [found.manifest_id], due)


def until_unchanged(attempt: Callable[[], T]) -> T:
    """Judge labels and use the judgement, again where they were others by then."""
    for _ in range(_ROUNDS):
        with suppress(ContentChanged):
            return attempt()
    raise Unavailable("the labels change too fast: try again")


def _labelled(connection: Connection, repository_id: int, row: Row[int, str, str, bytes]) -> _Labelled:
    own, added = own_labels(connection, row.id), added_labels(connection, row.id)
    return _Labelled(
        repository_id, row.id, Digest.parse(row.digest), row.media_type, row.payload, own, added.labels, added.mark
    )


def _require_removable(connection: Connection, found: _Labelled, label_id: int) -> Label:
    row = connection.execute(ONE_LABEL, {"manifest": found.manifest_id, "label": label_id}).first()
    if row is None:
        raise LabelUnknown(detail={"label": label_id, "digest": str(found.digest)})
    label = StoredLabel._make(row)
    if label.source != API:
        raise LabelRefused(
            "this label came with the manifest, and stays with it",
            detail={"label": label_id, "key": label.key[:64], "source": label.source},
        )
    return label.key, label.value
