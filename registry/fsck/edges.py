"""What manifests name and their repository lacks: it may be an error, or as somebody wanted it.

A manifest may lack what a client deleted, what was purged, what its repository need not have (sparse), and layers
that are fetched from elsewhere. Of all else it may lack nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, not_, or_, select
from sqlalchemy.orm import aliased

from registry.db.engine import Database
from registry.db.models import (
    Blob,
    Manifest,
    ManifestBlob,
    ManifestChild,
    PurgedDigest,
    Repository,
    RepositoryBlob,
)
from registry.db.models.content import LIVE
from registry.errors import RegistryError
from registry.fsck.findings import Finding, Kind, error, note
from registry.fsck.scanning import AnyRow, AnySelect, Fault, Scanner
from registry.hooks.facade import Hooks

_TARGET = aliased(Manifest)
_SUBJECT = "{repository}@{holder}"
_OF_LIVING = and_(Manifest.deleted_at.is_(None), Repository.current == 1)


def _purged(digest: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a column of any model
    return exists().where(PurgedDigest.digest == digest).label("purged")


def _lacking_blobs() -> AnySelect:
    member = and_(RepositoryBlob.repository_id == ManifestBlob.repository_id, RepositoryBlob.blob_id == Blob.id)
    return (
        select(
            ManifestBlob.manifest_id.label("at"),
            ManifestBlob.digest,
            Repository.name.label("repository"),
            Repository.allow_sparse,
            Manifest.digest.label("holder"),
            RepositoryBlob.blob_id.is_not(None).label("member"),
            RepositoryBlob.hidden_at,
            Blob.state,
            _purged(ManifestBlob.digest),
        )
        .join(Manifest, Manifest.id == ManifestBlob.manifest_id)
        .join(Repository, Repository.id == Manifest.repository_id)
        .outerjoin(Blob, Blob.digest == ManifestBlob.digest)
        .outerjoin(RepositoryBlob, member)
        .where(
            _OF_LIVING,
            or_(RepositoryBlob.blob_id.is_(None), RepositoryBlob.hidden_at.is_not(None), Blob.state != LIVE),
        )
    )


def _lacking_children() -> AnySelect:
    there = and_(_TARGET.repository_id == ManifestChild.repository_id, _TARGET.digest == ManifestChild.digest)
    return (
        select(
            ManifestChild.manifest_id.label("at"),
            ManifestChild.digest,
            ManifestChild.deleted_ms,
            Repository.name.label("repository"),
            Repository.allow_sparse,
            Manifest.digest.label("holder"),
            _TARGET.deleted_at,
            _purged(ManifestChild.digest),
        )
        .join(Manifest, Manifest.id == ManifestChild.manifest_id)
        .join(Repository, Repository.id == Manifest.repository_id)
        .outerjoin(_TARGET, there)
        .where(_OF_LIVING, or_(_TARGET.id.is_(None), _TARGET.deleted_at.is_not(None)))
    )


def _lacking_subjects() -> AnySelect:
    there = exists().where(
        _TARGET.repository_id == Manifest.repository_id,
        _TARGET.digest == Manifest.subject_digest,
        _TARGET.deleted_at.is_(None),
    )
    return (
        select(
            Manifest.id.label("at"),
            Repository.name.label("repository"),
            Manifest.digest.label("holder"),
            Manifest.subject_digest.label("digest"),
        )
        .join(Repository, Repository.id == Manifest.repository_id)
        .where(_OF_LIVING, Manifest.subject_digest != "", not_(there))
    )


_BLOBS = Fault(
    Kind.LACKS_BLOB, _lacking_blobs(), ManifestBlob.manifest_id, ManifestBlob.repository_id, _SUBJECT, "{digest}"
)
_CHILDREN = Fault(
    Kind.LACKS_CHILD, _lacking_children(), ManifestChild.manifest_id, ManifestChild.repository_id, _SUBJECT, "{digest}"
)
_SUBJECTS = Fault(Kind.LACKS_SUBJECT, _lacking_subjects(), Manifest.id, Manifest.repository_id, _SUBJECT, "{digest}")
_STORED = select(Manifest.media_type, Manifest.payload)


class EdgeChecks:
    """Judges what manifests lack."""

    def __init__(self, database: Database, hooks: Hooks, *, allow_sparse: bool) -> None:
        """Where a repository does not say itself whether it may be sparse, ``allow_sparse`` holds."""
        self._database = database
        self._hooks = hooks
        self._allow_sparse = allow_sparse

    def look(self, scanner: Scanner, after: int, upto: int) -> Iterator[Finding]:
        """Yield what manifests of a window lack."""
        for row in scanner.rows(_BLOBS, after, upto):
            yield self._blob(row)
        for row in scanner.rows(_CHILDREN, after, upto):
            yield self._child(row)
        for row in scanner.rows(_SUBJECTS, after, upto):
            reason = f"{row.digest} is not there; a referrer may come before its subject, or outlive it"
            yield note(Kind.LACKS_SUBJECT, _subject(row), reason)

    def _blob(self, row: AnyRow) -> Finding:
        subject, digest = _subject(row), row.digest
        if row.purged:
            return note(Kind.LACKS_BLOB, subject, f"{digest} was purged")
        if row.member and row.hidden_at is not None:
            return note(Kind.LACKS_BLOB, subject, f"{digest} was deleted by a client")
        if row.member:
            return error(Kind.LACKS_BLOB, subject, f"{digest} is {row.state}: push it again")
        if digest in self._elsewhere(row.at):
            return note(Kind.LACKS_BLOB, subject, f"{digest} is a layer that is fetched from elsewhere")
        return self._missing(Kind.LACKS_BLOB, row)

    def _child(self, row: AnyRow) -> Finding:
        if row.purged:
            return note(Kind.LACKS_CHILD, _subject(row), f"{row.digest} was purged")
        if row.deleted_at is not None or row.deleted_ms is not None:
            return note(Kind.LACKS_CHILD, _subject(row), f"{row.digest} was deleted")
        return self._missing(Kind.LACKS_CHILD, row)

    def _missing(self, kind: Kind, row: AnyRow) -> Finding:
        sparse = self._allow_sparse if row.allow_sparse is None else row.allow_sparse
        if sparse:
            return note(kind, _subject(row), f"{row.digest} was not pushed; the repository may be sparse")
        return error(kind, _subject(row), f"{row.digest} is not there: push it again")

    def _elsewhere(self, manifest_id: int) -> Sequence[str]:
        """Return the digests of a manifest's blobs that need not be here."""
        with self._database.read() as connection:
            row = connection.execute(_STORED.where(Manifest.id == manifest_id)).first()
        if row is None:
            return ()
        try:
            parsed = self._hooks.parse(row.media_type, bytes(row.payload))
        except RegistryError:  # told of where its bytes are looked at
            return ()
        return [str(blob.descriptor.digest) for blob in parsed.blobs if not blob.distributable]


def _subject(row: AnyRow) -> str:
    return f"{row.repository}@{row.holder}"
