"""Manifests as the API shows them: what each consists of, what refers to it, and what names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from sqlalchemy import Connection, Row, bindparam, case, func, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.db.engine import Database
from registry.db.models import (
    Blob,
    Label,
    LegacyImageRow,
    Manifest,
    ManifestBlob,
    ManifestChild,
    ManifestLegacyImage,
    RepositoryBlob,
    Tag,
)
from registry.db.models.content import LIVE
from registry.digest import Digest
from registry.errors import ManifestInvalid, ManifestUnknown
from registry.hooks.facade import Hooks, PluginFailed
from registry.hooks.ports import ContentMissing, StorageDriver
from registry.manifests.content import RepositoryContent
from registry.names import RepositoryName
from registry.pages import Page, cut
from registry.repositories.current import alive
from registry.repositories.repositories import require_repository

_NAMED_AT_MOST = 100
"""How many of a manifest's tags are named; all are counted."""


class ManifestRow(NamedTuple):
    """A manifest as the database has it; the fields are columns of ``manifest``."""

    id: int
    digest: str
    media_type: str
    size: int
    artifact_type: str
    config_media_type: str
    subject_digest: str
    layers_size: int
    actor: str
    untagged_pin: bool
    label_pin: bool
    created_ms: int
    deleted_at: int | None
    last_pulled_at: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a manifest names; ``size`` in bytes and ``media_type`` where it is there, else None."""

    digest: str
    size: int | None
    media_type: str | None = None

    @property
    def present(self) -> bool:
        """Whether it is in the repository: a sparse manifest names what is not."""
        return self.size is not None


@dataclass(frozen=True, slots=True)
class DescribedManifest:
    """A manifest with all that belongs to it; ``tags`` are the first of ``tag_count`` living ones.

    ``layers`` are None where its plugin is not installed, or failed.
    """

    row: ManifestRow
    tags: Sequence[str]
    tag_count: int
    children: Sequence[Part]
    blobs: Sequence[Part]
    referrer_count: int
    label_count: int
    legacy_images: Sequence[Mapping[str, str | None]]
    layers: Sequence[Mapping[str, object]] | None


@dataclass(frozen=True, slots=True)
class ManifestSelection:
    """Which manifests are listed: of a media type or an artifact type (None: any), or the deleted ones."""

    media_type: str | None = None
    artifact_type: str | None = None
    deleted: bool = False


_SELECTED = select(*(getattr(Manifest, column) for column in ManifestRow._fields)).where(
    Manifest.repository_id == bindparam("repository")
)
_ONE = _SELECTED.where(Manifest.digest == bindparam("digest"))
_PAGE = _SELECTED.where(Manifest.id < bindparam("last")).order_by(Manifest.id.desc()).limit(bindparam("limit"))
_CHILDREN = (
    select(ManifestChild.digest, Manifest.size, Manifest.media_type)
    .outerjoin(
        Manifest,
        (Manifest.repository_id == ManifestChild.repository_id)
        & (Manifest.digest == ManifestChild.digest)
        & Manifest.deleted_at.is_(None),
    )
    .where(ManifestChild.manifest_id == bindparam("manifest"))
    .order_by(ManifestChild.digest)
)
_BLOBS = (
    select(ManifestBlob.digest, case((RepositoryBlob.blob_id.is_not(None), Blob.size)))
    .outerjoin(Blob, (Blob.digest == ManifestBlob.digest) & (Blob.state == LIVE))
    .outerjoin(
        RepositoryBlob,
        (RepositoryBlob.repository_id == ManifestBlob.repository_id)
        & (RepositoryBlob.blob_id == Blob.id)
        & RepositoryBlob.hidden_at.is_(None),
    )
    .where(ManifestBlob.manifest_id == bindparam("manifest"))
    .order_by(ManifestBlob.digest)
)
_REFERRERS = select(func.count()).where(
    Manifest.repository_id == bindparam("repository"),
    Manifest.subject_digest == bindparam("digest"),
    Manifest.deleted_at.is_(None),
)
_LABELS = select(func.count()).where(Label.manifest_id == bindparam("manifest"))
_IMAGE_FIELDS = ("image_id", "parent_id", "blob_digest", "created", "comment", "command")
_IMAGES = (
    select(*(getattr(LegacyImageRow, field) for field in _IMAGE_FIELDS))
    .join(ManifestLegacyImage, ManifestLegacyImage.legacy_image_id == LegacyImageRow.id)
    .where(ManifestLegacyImage.manifest_id == bindparam("manifest"))
    .order_by(ManifestLegacyImage.position)
)


class ManifestCatalogue:
    """Lists and describes manifests."""

    def __init__(self, database: Database, storage: StorageDriver, hooks: Hooks, authorizer: Authorizer) -> None:
        """Read from ``database``, as far as ``authorizer`` allows; ``hooks`` list layers."""
        self._database = database
        self._storage = storage
        self._hooks = hooks
        self._authorizer = authorizer
        living = (Tag.manifest_id == bindparam("manifest")) & alive(database.now_clause())
        self._tags = select(Tag.name).where(living).order_by(Tag.name).limit(_NAMED_AT_MOST)
        self._tag_count = select(func.count()).where(living)

    def list(
        self, actor: Actor, repository: RepositoryName, selection: ManifestSelection, limit: int, last: int
    ) -> Page[ManifestRow]:
        """Return at most ``limit`` manifests, the newest first, whose row ids are below ``last``."""
        self._authorizer.require(actor, Action.PULL, repository)
        statement = _PAGE.where(
            Manifest.deleted_at.is_not(None) if selection.deleted else Manifest.deleted_at.is_(None)
        )
        values: dict[str, object] = {"last": last, "limit": limit + 1}
        for name in ("media_type", "artifact_type"):
            wanted = getattr(selection, name)
            if wanted is not None:
                statement = statement.where(getattr(Manifest, name) == bindparam(name))
                values[name] = wanted
        with self._database.read() as connection:
            values["repository"] = require_repository(connection, repository)
            rows = connection.execute(statement, values).all()
        return cut([ManifestRow._make(row) for row in rows], limit)

    def describe(self, actor: Actor, repository: RepositoryName, digest: Digest) -> DescribedManifest:
        """Return a manifest, also a deleted one that is still restorable.

        Raises :class:`ManifestUnknown`, :class:`~registry.errors.NameUnknown`.
        """
        self._authorizer.require(actor, Action.PULL, repository, str(digest))
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            where: dict[str, object] = {"repository": repository_id, "digest": str(digest)}
            found = connection.execute(_ONE, where).first()
            if found is None:
                raise ManifestUnknown(detail={"digest": str(digest)})
            row = ManifestRow._make(found)
            of = {**where, "manifest": row.id}
            parts = (
                connection.scalars(self._tags, of).all(),
                connection.execute(self._tag_count, of).scalar_one(),
                [Part(*part) for part in connection.execute(_CHILDREN, of)],
                [Part(*part) for part in connection.execute(_BLOBS, of)],
                connection.execute(_REFERRERS, of).scalar_one(),
                connection.execute(_LABELS, of).scalar_one(),
                _images(connection, of),
            )
        return DescribedManifest(row, *parts, self._layers(repository_id, digest))

    def _layers(self, repository_id: int, digest: Digest) -> Sequence[Mapping[str, object]] | None:
        content = RepositoryContent(self._database, self._storage, self._hooks, repository_id, deleted=True)
        try:
            layers = self._hooks.layers(content.manifest(digest), content)
        except (ContentMissing, ManifestInvalid, PluginFailed):
            return None
        return [{**asdict(layer), "digest": layer.digest and str(layer.digest)} for layer in layers]


def _images(connection: Connection, of: Mapping[str, object]) -> Sequence[Mapping[str, str | None]]:
    rows: Sequence[Row[*tuple[str | None, ...]]] = connection.execute(_IMAGES, of).all()
    return [dict(zip(_IMAGE_FIELDS, row, strict=True)) for row in rows]
