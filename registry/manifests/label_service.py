"""Labels of manifests through the API: listed, added and removed, with the actions that pushed labels have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.content.reviews import Reviews
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Label as LabelModel
from registry.db.models import Manifest
from registry.digest import Digest
from registry.errors import LabelInvalid, LabelRefused, LabelUnknown, ManifestUnknown, Unavailable
from registry.hooks.facade import Hooks
from registry.hooks.ports import StorageDriver
from registry.manifests.content import RepositoryContent
from registry.manifests.labels import (
    API,
    MANIFEST,
    MAX_LABELS,
    Label,
    LabelVerdict,
    judge,
    labels_to_apply,
    media_type_of,
)
from registry.manifests.rows import ContentChanged
from registry.names import RepositoryName
from registry.repositories.periods import Periods
from registry.repositories.repositories import require_repository

T = TypeVar("T")
MAX_KEY, MAX_VALUE = 1024, 64 * 1024
_ROUNDS = 5
_LABEL, _MANIFEST = table(LabelModel), table(Manifest)
_SHOWN = (_LABEL.c.id, _LABEL.c.key, _LABEL.c.value, _LABEL.c.media_type, _LABEL.c.source, _LABEL.c.warning)
_OF_MANIFEST = select(*_SHOWN).where(_LABEL.c.manifest_id == bindparam("manifest")).order_by(_LABEL.c.id)
_FIND = select(_MANIFEST.c.id, _MANIFEST.c.label_pin).where(
    _MANIFEST.c.repository_id == bindparam("repository"),
    _MANIFEST.c.digest == bindparam("digest"),
    _MANIFEST.c.deleted_at.is_(None),
)
_LOCK = _FIND.with_for_update()
_STORED = select(_MANIFEST.c.id, _MANIFEST.c.media_type, _MANIFEST.c.payload).where(
    _MANIFEST.c.repository_id == bindparam("repository"), _MANIFEST.c.digest == bindparam("digest")
)
_COUNT = select(func.count()).where(_LABEL.c.manifest_id == bindparam("manifest"))
_PIN = update(_MANIFEST).where(_MANIFEST.c.id == bindparam("b_id")).values(label_pin=bindparam("b_pin"))


@dataclass(frozen=True, slots=True)
class StoredLabel:
    """A label as it is stored. ``warning`` says why its action refused the value; ``source`` who gave it."""

    id: int
    key: str
    value: str
    media_type: str
    source: str
    warning: str


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
    ) -> None:
        """Run label actions of ``hooks``; what they change in tags is done by ``periods``."""
        self._database = database
        self._storage = storage
        self._hooks = hooks
        self._authorizer = authorizer
        self._periods = periods
        self._reviews = reviews

    def list(self, actor: Actor, repository: RepositoryName, digest: Digest) -> Sequence[StoredLabel]:
        """Return a manifest's labels, oldest first; raises :class:`ManifestUnknown`."""
        self._authorizer.require(actor, Action.PULL, repository, str(digest))
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            manifest_id, _ = _require(connection, repository_id, digest)
            return [StoredLabel(*row) for row in connection.execute(_OF_MANIFEST, {"manifest": manifest_id})]

    def add(self, actor: Actor, repository: RepositoryName, digest: Digest, key: str, value: str) -> StoredLabel:
        """Add a label, and let it act on all living tags of the manifest, from each tag's own start.

        A value that its action refuses is kept with a warning, as a pushed one is. Raises :class:`LabelInvalid`,
        :class:`ManifestUnknown`.
        """
        self._authorizer.require(actor, Action.PUSH, repository, str(digest))
        if not 0 < len(key) <= MAX_KEY or len(value) > MAX_VALUE or "\0" in key + value:
            raise LabelInvalid(
                f"a label has a key of 1 to {MAX_KEY} characters and a value of at most {MAX_VALUE}",
                detail={"key": key[:64], "length": len(value)},
            )

        def work(connection: Connection, before: Sequence[int], verdict: LabelVerdict) -> StoredLabel:
            repository_id, manifest_id, pinned = self._lock(connection, repository, digest, before)
            if (connection.scalar(_COUNT, {"manifest": manifest_id}) or 0) >= MAX_LABELS:
                raise LabelInvalid("the manifest has too many labels", detail={"limit": MAX_LABELS})
            row = {
                "key": key,
                "value": value,
                "media_type": media_type_of(value),
                "source": API,
                "warning": verdict.warnings.get((key, value), ""),
            }
            made = connection.execute(insert(_LABEL).values(manifest_id=manifest_id, **row).returning(_LABEL.c.id))
            self._apply(connection, repository_id, manifest_id, verdict, pinned=pinned)
            return StoredLabel(id=made.scalar_one(), **row)

        return self._write(work, lambda: self._judged(repository, digest, added=(key, value)))

    def remove(self, actor: Actor, repository: RepositoryName, digest: Digest, label_id: int) -> None:
        """Remove a label that the API added; what labels alone had set is worked out again.

        Raises :class:`LabelUnknown`, :class:`ManifestUnknown`, or :class:`LabelRefused` for what came with the content.
        """
        self._authorizer.require(actor, Action.PUSH, repository, str(digest))

        def work(connection: Connection, before: Sequence[int], verdict: LabelVerdict) -> None:
            repository_id, manifest_id, pinned = self._lock(connection, repository, digest, before)
            connection.execute(delete(_LABEL).where(_LABEL.c.id == label_id))
            self._apply(connection, repository_id, manifest_id, verdict, pinned=pinned)

        self._write(work, lambda: self._judged(repository, digest, removed=label_id))

    def verdict(self, repository_id: int, digest: Digest) -> LabelVerdict:
        """Return what a manifest's labels make happen, a deleted one's as well; raises :class:`ManifestUnknown`."""
        with self._database.read() as connection:
            row = connection.execute(_STORED, {"repository": repository_id, "digest": str(digest)}).first()
            if row is None:
                raise ManifestUnknown(detail={"digest": str(digest)})
            stored = [StoredLabel(*found) for found in connection.execute(_OF_MANIFEST, {"manifest": row.id})]
        return self._verdict(repository_id, digest, row.media_type, row.payload, stored)

    def _verdict(
        self, repository_id: int, digest: Digest, media_type: str, payload: bytes, stored: Sequence[StoredLabel]
    ) -> LabelVerdict:
        content = RepositoryContent(self._database, self._storage, self._hooks, repository_id, deleted=True)
        parsed = self._hooks.parse(media_type, payload)
        own = {label.key: label.value for label in stored if label.source == MANIFEST}
        applied = labels_to_apply(self._hooks, content, parsed, self._hooks.children(parsed), own)
        added: list[Label] = [(label.key, label.value) for label in stored if label.source == API]
        return judge(self._hooks, [*applied.items(), *added], digest)

    def _judged(
        self, repository: RepositoryName, digest: Digest, *, added: Label | None = None, removed: int | None = None
    ) -> tuple[Sequence[int], LabelVerdict]:
        """Judge the labels as they will be; returns the ids of those that were there as well."""
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            manifest_id, _ = _require(connection, repository_id, digest)
            row = connection.execute(_STORED, {"repository": repository_id, "digest": str(digest)}).one()
            stored = [StoredLabel(*found) for found in connection.execute(_OF_MANIFEST, {"manifest": manifest_id})]
        if removed is not None:
            gone = next((label for label in stored if label.id == removed), None)
            if gone is None:
                raise LabelUnknown(detail={"label": removed, "digest": str(digest)})
            if gone.source != API:
                raise LabelRefused(
                    "this label came with the manifest, and stays with it",
                    detail={"label": removed, "key": gone.key[:64], "source": gone.source},
                )
        future = [label for label in stored if label.id != removed]
        if added is not None:
            future.append(StoredLabel(0, *added, "", API, ""))
        verdict = self._verdict(repository_id, digest, row.media_type, row.payload, future)
        return [label.id for label in stored], verdict

    def _write(
        self,
        work: Callable[[Connection, Sequence[int], LabelVerdict], T],
        judge_again: Callable[[], tuple[Sequence[int], LabelVerdict]],
    ) -> T:
        """Run ``work`` on labels that were judged as they are: plugins are asked outside the transaction."""
        for _ in range(_ROUNDS):
            with suppress(ContentChanged):
                return self._attempt(work, *judge_again())
        raise Unavailable("the labels change too fast: try again")

    def _attempt(
        self,
        work: Callable[[Connection, Sequence[int], LabelVerdict], T],
        before: Sequence[int],
        verdict: LabelVerdict,
    ) -> T:
        return self._database.write(lambda connection: work(connection, before, verdict))

    def _lock(
        self, connection: Connection, repository: RepositoryName, digest: Digest, before: Sequence[int]
    ) -> tuple[int, int, bool]:
        """Lock the manifest; raises :class:`ContentChanged` where its labels are not those that were judged."""
        repository_id = require_repository(connection, repository)
        manifest_id, pinned = _require(connection, repository_id, digest, lock=True)
        present = [row.id for row in connection.execute(_OF_MANIFEST, {"manifest": manifest_id})]
        if present != list(before):
            raise ContentChanged
        return repository_id, manifest_id, pinned

    def _apply(
        self, connection: Connection, repository_id: int, manifest_id: int, verdict: LabelVerdict, *, pinned: bool
    ) -> None:
        now = self._database.now(connection)
        self._periods.apply_labels(connection, now, repository_id, manifest_id, verdict.effects)
        if verdict.pin != pinned:
            connection.execute(_PIN, {"b_id": manifest_id, "b_pin": verdict.pin})
        if pinned and not verdict.pin:
            self._reviews.manifests(connection, repository_id, [manifest_id], now + self._reviews.grace_ms)


def _require(connection: Connection, repository_id: int, digest: Digest, *, lock: bool = False) -> tuple[int, bool]:
    row = connection.execute(_LOCK if lock else _FIND, {"repository": repository_id, "digest": str(digest)}).first()
    if row is None:
        raise ManifestUnknown(detail={"digest": str(digest)})
    return row.id, row.label_pin
