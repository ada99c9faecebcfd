"""Repositories as plugins read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from registry.db.engine import Database
from registry.db.models import Manifest, Tag
from registry.digest import Digest
from registry.errors import NameInvalid, TagInvalid
from registry.hooks.context import ManifestDescription, RepositoryReader, TagDescription
from registry.hooks.facade import Hooks
from registry.hooks.ports import MAX_READ, ContentMissing, StorageDriver
from registry.hooks.types import Descriptor, Layer, ParsedManifest
from registry.manifests.content import RepositoryContent
from registry.manifests.labels import together
from registry.manifests.stored_labels import added_labels, own_labels
from registry.names import RepositoryName, TagName
from registry.repositories.current import CURRENT, alive
from registry.repositories.protection import Protection
from registry.repositories.repositories import find_repository
from registry.repositories.tag_values import Period

_PAGE = 500
_IN = Manifest.repository_id == bindparam("repository")
_LIVING = _IN & Manifest.deleted_at.is_(None)
_DESCRIBED = select(
    Manifest.id,
    Manifest.digest,
    Manifest.media_type,
    Manifest.artifact_type,
    Manifest.size + Manifest.layers_size,
    Manifest.created_ms,
)
_BY_DIGEST = _DESCRIBED.where(_LIVING, Manifest.digest == bindparam("digest"))
_PAGE_OF_MANIFESTS = _DESCRIBED.where(_LIVING, Manifest.id > bindparam("last")).order_by(Manifest.id).limit(_PAGE)
_FIND = select(Manifest.id).where(_IN, Manifest.digest == bindparam("digest"))
_REFERRERS = (
    select(Manifest.media_type, Manifest.digest, Manifest.size, Manifest.annotations, Manifest.artifact_type)
    .where(_LIVING, Manifest.subject_digest == bindparam("subject"))
    .order_by(Manifest.digest)
)
_OF_TYPE = _REFERRERS.where(Manifest.artifact_type == bindparam("type"))


@dataclass(frozen=True, slots=True)
class _Sources:
    """What all readers of one app share."""

    database: Database
    storage: StorageDriver
    hooks: Hooks
    protection: Protection
    tag: Select[str]
    tags: Select[*tuple[Any, ...]]


class StoredReaders:
    """Opens repositories for plugins."""

    def __init__(self, database: Database, storage: StorageDriver, hooks: Hooks, protection: Protection) -> None:
        """Read rows from ``database``, bytes from ``storage``, and manifests by ``hooks``."""
        living = (Tag.repository_id == bindparam("repository")) & alive(database.now_clause())
        begins = func.substr(Tag.name, 1, bindparam("length")) == bindparam("prefix")
        after = (Tag.name > bindparam("last")) & (Tag.name >= bindparam("prefix"))
        self._sources = _Sources(
            database,
            storage,
            hooks,
            protection,
            select(Tag.digest).where(living, Tag.name == bindparam("tag")),
            CURRENT.where(living, after, begins).order_by(Tag.name).limit(_PAGE),
        )

    def __call__(self, repository: str, *, deleted: bool = False) -> RepositoryReader:
        """Return a repository's reader, one that is empty for a name that no repository has or can have."""
        return StoredRepository(self._sources, repository, deleted=deleted)


class StoredRepository:
    """A :class:`~registry.hooks.RepositoryReader`. Each call sees the newest committed state."""

    def __init__(self, sources: _Sources, name: str, *, deleted: bool = False) -> None:
        """Read the repository of a name; with ``deleted`` also content that was deleted and is still kept."""
        self._from = sources
        self._deleted = deleted
        self._name = name

    @property
    def name(self) -> str:
        """The repository's name."""
        return self._name

    def read(self, digest: Digest, limit: int = MAX_READ) -> bytes:
        """Return the bytes of a blob or manifest."""
        return self._content().read(digest, limit)

    def manifest(self, digest: Digest) -> ParsedManifest:
        """Return a manifest, parsed by its owner."""
        return self._content().manifest(digest)

    def tag(self, name: str) -> Digest | None:
        """Return what a living tag stands for, or None."""
        try:
            TagName.parse(name)
        except TagInvalid:
            return None
        with self._from.database.read() as connection:
            found = connection.scalar(self._from.tag, {"repository": self._id(connection), "tag": name})
        return None if found is None else Digest.parse(found)

    def tags(self, prefix: str = "") -> Iterator[TagDescription]:
        """Yield living tags, in bytewise order."""
        last = ""
        while True:
            with self._from.database.read() as connection:
                repository_id = self._id(connection)
                if repository_id is None:
                    return
                wanted = {"repository": repository_id, "prefix": prefix, "length": len(prefix), "last": last}
                rows = connection.execute(self._from.tags, wanted).all()
                periods = [Period._make(row) for row in rows]
                now = self._from.database.now(connection)
                reasons = self._from.protection.reasons(connection, now, repository_id, periods)
            for period, reason in zip(periods, reasons, strict=True):
                end = period.lifetime_end_ms
                yield TagDescription(
                    period.name,
                    Digest.parse(period.digest),
                    _moment(period.lifetime_start_ms),
                    None if end is None else _moment(end),
                    immutable=reason is not None,
                )
            if len(rows) < _PAGE:
                return
            last = periods[-1].name

    def describe(self, digest: Digest) -> ManifestDescription:
        """Describe a manifest; raises :class:`ContentMissing`."""
        with self._from.database.read() as connection:
            row = connection.execute(_BY_DIGEST, self._at(connection, digest)).first()
        if row is None:
            raise ContentMissing(str(digest))
        return _description(row)

    def manifests(self) -> Iterator[ManifestDescription]:
        """Yield every manifest, in the order of pushes."""
        last = 0
        while True:
            with self._from.database.read() as connection:
                rows = connection.execute(_PAGE_OF_MANIFESTS, {"repository": self._id(connection), "last": last}).all()
            yield from map(_description, rows)
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def labels(self, digest: Digest) -> Mapping[str, str]:
        """Return the labels stored with a manifest."""
        with self._from.database.read() as connection:
            manifest_id = connection.scalar(_FIND, self._at(connection, digest))
            if manifest_id is None:
                return {}
            return together(dict(own_labels(connection, manifest_id)), added_labels(connection, manifest_id).labels)

    def layers(self, digest: Digest) -> Sequence[Layer]:
        """Return a manifest's layers; raises :class:`ContentMissing`."""
        content = self._content()
        return self._from.hooks.layers(content.manifest(digest), content)

    def referrers(self, digest: Digest, artifact_type: str = "") -> Sequence[Descriptor]:
        """Return the manifests whose subject this one is, in bytewise order of digests."""
        statement = _OF_TYPE if artifact_type else _REFERRERS
        with self._from.database.read() as connection:
            wanted = {"repository": self._id(connection), "subject": str(digest), "type": artifact_type}
            rows = connection.execute(statement, wanted).all()
        return [
            Descriptor(media_type, Digest.parse(found), size, json.loads(annotations), kind)
            for media_type, found, size, annotations, kind in rows
        ]

    def _content(self) -> RepositoryContent:
        with self._from.database.read() as connection:
            repository_id = self._id(connection)
        return RepositoryContent(
            self._from.database, self._from.storage, self._from.hooks, repository_id, deleted=self._deleted
        )

    def _id(self, connection: Connection) -> int | None:
        try:
            return find_repository(connection, RepositoryName.parse(self._name))
        except NameInvalid:
            return None

    def _at(self, connection: Connection, digest: Digest) -> dict[str, object]:
        return {"repository": self._id(connection), "digest": str(digest)}


def _description(row: Row[int, str, str, str, int, int]) -> ManifestDescription:
    _, digest, media_type, artifact_type, size, created = row
    return ManifestDescription(Digest.parse(digest), media_type, artifact_type, int(size), _moment(created))


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
