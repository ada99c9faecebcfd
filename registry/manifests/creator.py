"""Writing a manifest.

:meth:`ManifestCreator.create` reads like a table of contents; no step knows what kind of manifest it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from sqlalchemy import Connection

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.content.blobs import BlobService
from registry.db.engine import Database
from registry.digest import Digest
from registry.errors import DigestInvalid, ManifestTooLarge, Unavailable
from registry.hooks.admission import ManifestPush
from registry.hooks.facade import Hooks
from registry.hooks.ports import StorageDriver
from registry.hooks.types import LegacyImage, ParsedManifest
from registry.manifests import legacy
from registry.manifests.admitting import Admitted, Admitting, LateLayers
from registry.manifests.content import RepositoryContent
from registry.manifests.labels import (
    AddedLabels,
    LabelRow,
    judge,
    label_rows,
    labels_to_apply,
    log_warnings,
    together,
)
from registry.manifests.resolve import Resolved, digest_of, require_complete, resolve
from registry.manifests.rows import ContentChanged, ManifestRecord, ManifestRows
from registry.names import RepositoryName, TagName
from registry.repositories.periods import Periods
from registry.repositories.tag_values import LifeBounds, TagEffects, TagTarget
from registry.steps import Steps

MAX_MANIFEST = 4 * 1024 * 1024
EMPTY_LAYER = bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000")
"""Docker's layer without files, a gzip stream of two empty tar blocks, which its clients never upload."""
EMPTY_LAYER_DIGEST = Digest.of(EMPTY_LAYER)
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class CreatedManifest:
    """The outcome of a push: the manifest, whether it is new here, the labels that took effect, and warnings."""

    manifest: ManifestRecord
    newly_created: bool
    labels_to_apply: Mapping[str, str]
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PushTerms:
    """What a push names is kept for ``lease_ms`` milliseconds at least; ``allow_sparse``: it may be missing.

    Its labels give tags lives within ``lives``.
    """

    lease_ms: int
    allow_sparse: bool
    lives: LifeBounds


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything about a manifest that is known before its transaction."""

    manifest: ParsedManifest
    digest: Digest
    found: Resolved
    labels: Sequence[LabelRow]
    applied: Mapping[str, str]
    effects: TagEffects
    pin: bool
    images: Sequence[LegacyImage]
    empty_layer: int | None
    known: bool
    """The manifest was here already, with its v1 images and its empty layer."""
    added: AddedLabels
    """The labels that the API had added to it."""
    content: RepositoryContent
    """What it was prepared from."""


class ManifestCreator:
    """Checks manifests and makes them part of a repository."""

    def __init__(
        self,
        database: Database,
        storage: StorageDriver,
        hooks: Hooks,
        authorizer: Authorizer,
        blobs: BlobService,
        periods: Periods,
        admitting: Admitting,
        terms: PushTerms,
        steps: Steps,
    ) -> None:
        """Accept manifests on ``terms``, as far as ``admitting`` allows."""
        self._database = database
        self._storage = storage
        self._hooks = hooks
        self._authorizer = authorizer
        self._blobs = blobs
        self._periods = periods
        self._admitting = admitting
        self._steps = steps
        self._rows = ManifestRows(database, blobs.outbox, terms.lease_ms)
        self._allow_sparse = terms.allow_sparse
        self._lives = terms.lives

    def create(
        self,
        actor: Actor,
        repository: RepositoryName,
        media_type: str,
        payload: bytes,
        *,
        digest: Digest | None = None,
        tags: Sequence[TagName] = (),
    ) -> CreatedManifest:
        """Store a manifest under its digest, and make ``tags`` stand for it.

        Raises :class:`~registry.errors.UnsupportedMediaType`, :class:`~registry.errors.ManifestInvalid`,
        :class:`ManifestTooLarge`, :class:`DigestInvalid`, :class:`~registry.errors.ManifestBlobUnknown` (one
        error for all that is missing), :class:`~registry.errors.Denied`.
        """
        for reference in [*map(str, tags), *([str(digest)] if digest else [])] or [""]:
            self._authorizer.require(actor, Action.PUSH, repository, reference)
        if len(payload) > MAX_MANIFEST:
            raise ManifestTooLarge(detail={"limit": MAX_MANIFEST})
        manifest = self._hooks.parse(media_type, payload)
        own_digest = digest_of(manifest, digest)
        if digest is not None and digest != own_digest:
            raise DigestInvalid(detail={"digest": str(digest), "received": str(own_digest)})
        for _ in range(_ROUNDS):
            prepared = self._prepare(actor, repository, manifest, own_digest)
            admitted = self._admit(actor, repository, prepared, tags)
            store = partial(
                self._store, actor=actor, repository=repository, prepared=prepared, admitted=admitted, tags=tags
            )
            self._steps("manifest.prepared")
            try:
                created = self._database.write(store)
            except (ContentChanged, legacy.LegacyIdTaken):
                continue  # something it names was deleted or taken meanwhile: look again
            self._steps("manifest.stored")
            return created
        raise Unavailable("the repository changes too fast: try again", detail={"digest": str(own_digest)})

    def _prepare(self, actor: Actor, repository: RepositoryName, manifest: ParsedManifest, digest: Digest) -> Prepared:
        with self._database.read() as connection:
            place = self._rows.place(connection, repository, digest)
            found = resolve(connection, self._hooks, place.repository_id, manifest)
        if not (self._allow_sparse if place.allow_sparse is None else place.allow_sparse):
            require_complete(found)
        content = RepositoryContent(self._database, self._storage, self._hooks, place.repository_id, found.members)
        self._hooks.validate(manifest, content)
        own = self._hooks.labels(manifest, content)
        applied = labels_to_apply(self._hooks, content, manifest, found.descriptors, own)
        verdict = judge(self._hooks, [*applied.items(), *place.added.labels], self._lives)
        log_warnings(digest, verdict.warnings)
        images: Sequence[LegacyImage] = ()
        empty_layer = None
        if not place.known:
            images = legacy.derive(self._database, self._hooks, content, place.repository_id, manifest)
            if self._hooks.needs_empty_layer(manifest, content):
                empty_layer = self._blobs.ensure_shared(actor, repository, EMPTY_LAYER_DIGEST, EMPTY_LAYER)
        return Prepared(
            manifest,
            digest,
            found,
            label_rows(own, verdict.warnings),
            applied,
            verdict.effects,
            verdict.pin,
            images,
            empty_layer,
            place.known,
            place.added,
            content,
        )

    def _admit(self, actor: Actor, repository: RepositoryName, prepared: Prepared, tags: Sequence[TagName]) -> Admitted:
        push = ManifestPush(
            repository.value,
            prepared.digest,
            prepared.manifest,
            MappingProxyType(dict(together(prepared.applied, prepared.added.labels))),
            LateLayers(partial(self._hooks.layers, prepared.manifest, prepared.content)),
            [tag.value for tag in tags],
            actor.principal,
        )
        return self._admitting.push(push)

    def _store(
        self,
        connection: Connection,
        actor: Actor,
        repository: RepositoryName,
        prepared: Prepared,
        admitted: Admitted,
        tags: Sequence[TagName],
    ) -> CreatedManifest:
        """Write all of it in the caller's transaction."""
        self._blobs.purged.refuse(connection, str(prepared.digest))
        repository_id = self._rows.repository(connection, actor, repository)
        self._rows.lease(connection, repository_id, prepared.found)
        blobs = list(prepared.found.blobs)
        if prepared.empty_layer is not None:
            if not self._blobs.join_shared(connection, repository_id, prepared.empty_layer):
                raise ContentChanged
            blobs.append(str(EMPTY_LAYER_DIGEST))
        record, newly_created = self._rows.upsert(
            connection, actor, repository_id, prepared.manifest, prepared.digest, prepared.found
        )
        self._steps("manifest.store.row")
        if newly_created:
            if prepared.known or prepared.added.labels:
                raise ContentChanged
            self._rows.edges(connection, record, repository_id, blobs, prepared.found.children)
            self._rows.labels(connection, record, prepared.labels)
            legacy.store(self._database, connection, repository_id, record.manifest_id, prepared.images)
        elif self._rows.mark(connection, record) != prepared.added.mark:
            raise ContentChanged
        if prepared.pin:
            self._rows.pin(connection, record)
        self._steps("manifest.store.edges")
        now = self._database.now(connection)
        artifact_type = prepared.manifest.artifact_type
        self._rows.pushed(connection, now, actor, repository_id, record, artifact_type, tags, created=newly_created)
        target = TagTarget(record.manifest_id, str(record.digest), prepared.effects)
        for tag in tags:
            before = self._periods.set(connection, now, repository_id, tag, target, actor)
            admitted.require_unchanged(tag, before)
        self._steps("manifest.store.tags")
        self._rows.settle_pins(connection, repository_id, record, prepared.found.children)
        self._steps("manifest.store.commit")
        return CreatedManifest(record, newly_created, prepared.applied, admitted.warnings)
