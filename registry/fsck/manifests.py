"""Checks of manifests: their bytes, their edges, what they name, and whether somebody will look at the dead ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, select

from registry.collection.roots import FOR_EVER, Walk, place
from registry.content.reviews import Reviews
from registry.db.engine import Database
from registry.db.models import (
    Blob,
    GcReview,
    Manifest,
    ManifestBlob,
    ManifestChild,
    PurgedDigest,
    Repository,
    RepositoryBlob,
)
from registry.db.models.content import LIVE
from registry.db.models.work import MANIFEST
from registry.digest import Digest
from registry.errors import ManifestInvalid, UnsupportedMediaType
from registry.fsck.findings import Finding, error, note
from registry.hooks.facade import Hooks
from registry.hooks.types import ParsedManifest
from registry.manifests.creator import EMPTY_LAYER_DIGEST

_BATCH = 100
_COLUMNS = (
    Manifest.id,
    Manifest.repository_id,
    Manifest.digest,
    Manifest.media_type,
    Manifest.size,
    Manifest.subject_digest,
    Manifest.deleted_at,
    Manifest.payload,
)
_PAGE = select(*_COLUMNS).where(Manifest.id > bindparam("last")).order_by(Manifest.id).limit(_BATCH)
_ONE = select(*_COLUMNS).where(Manifest.id == bindparam("manifest"))
_BLOB_EDGES = select(ManifestBlob.digest).where(ManifestBlob.manifest_id == bindparam("manifest"))
_CHILD_EDGES = select(ManifestChild.digest).where(ManifestChild.manifest_id == bindparam("manifest"))
_DIGESTS: BindParameter[Any] = bindparam("digests", expanding=True)
_THERE = select(Manifest.digest).where(Manifest.repository_id == bindparam("repository"), Manifest.digest.in_(_DIGESTS))
_MEMBERS = (
    select(Blob.digest, Blob.state, RepositoryBlob.hidden_at)
    .join(RepositoryBlob, RepositoryBlob.blob_id == Blob.id)
    .where(RepositoryBlob.repository_id == bindparam("repository"), Blob.digest.in_(_DIGESTS))
)
_PURGED = select(PurgedDigest.digest).where(PurgedDigest.digest.in_(_DIGESTS))
_SPARSE = select(Repository.allow_sparse).where(Repository.id == bindparam("repository"))
_REVIEWED = (
    select(GcReview.id)
    .where(
        GcReview.kind == MANIFEST,
        GcReview.repository_id == bindparam("repository"),
        GcReview.target.in_(bindparam("ids", expanding=True)),
    )
    .limit(1)
)


class ManifestChecks:
    """Checks manifests one by one, each on a fresh look."""

    def __init__(
        self, database: Database, hooks: Hooks, reviews: Reviews, *, window_ms: int, allow_sparse: bool
    ) -> None:
        """Judge as the registry with these settings does."""
        self._database = database
        self._hooks = hooks
        self._reviews = reviews
        self._window_ms = window_ms
        self._allow_sparse = allow_sparse

    def pages(self) -> Iterator[Sequence[int]]:
        """Yield the ids of all manifests, in order."""
        last = 0
        while True:
            with self._database.read() as connection:
                ids = [row.id for row in connection.execute(_PAGE, {"last": last})]
            if not ids:
                return
            yield ids
            last = ids[-1]

    def check(self, manifest_id: int) -> list[Finding]:
        """Return what is wrong with one manifest."""
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"manifest": manifest_id}).first()
            if row is None:
                return []
            subject = f"repository {row.repository_id}, manifest {row.digest}"
            found = list(self._reviewed(connection, subject, row))
            parsed = self._parsed(row)
            if isinstance(parsed, Finding):
                return [*found, parsed]
            found += self._bytes(subject, row, parsed)
            found += self._edges(connection, subject, row, parsed)
            return found

    def _parsed(self, row: Any) -> ParsedManifest | Finding:  # noqa: ANN401 - a row of _COLUMNS
        subject = f"repository {row.repository_id}, manifest {row.digest}"
        try:
            return self._hooks.parse(row.media_type, bytes(row.payload))
        except UnsupportedMediaType:
            return note("manifest of no format", subject, f"no plugin owns {row.media_type}")
        except ManifestInvalid as invalid:
            return error("manifest damaged", subject, invalid.message)

    @staticmethod
    def _bytes(subject: str, row: Any, parsed: ParsedManifest) -> Iterator[Finding]:  # noqa: ANN401 - a row of _COLUMNS
        """Compare the digest, which a signed schema 1 manifest has of its signed payload."""
        wanted = Digest.parse(row.digest)
        real = Digest.of(parsed.digest_bytes, wanted.algorithm)
        if real != wanted:
            yield error("manifest damaged", subject, f"its bytes have the digest {real}")
        if len(row.payload) != row.size:
            yield error("manifest damaged", subject, f"it has {len(row.payload)} bytes, not {row.size}")
        named = "" if parsed.subject is None else str(parsed.subject.digest)
        if named != row.subject_digest:
            yield error("wrong edge", subject, f"its subject is {named or 'none'}, not {row.subject_digest or 'none'}")

    def _edges(self, connection: Connection, subject: str, row: Any, parsed: ParsedManifest) -> Iterator[Finding]:  # noqa: ANN401 - a row of _COLUMNS
        of = {"manifest": row.id}
        blobs = set(connection.scalars(_BLOB_EDGES, of))
        children = set(connection.scalars(_CHILD_EDGES, of))
        named = {str(blob.descriptor.digest) for blob in parsed.blobs}
        entries = {str(child.digest) for child in self._hooks.children(parsed)}
        allowed = {*named, *entries, str(EMPTY_LAYER_DIGEST)}
        for digest in sorted((named - blobs) | (entries - children - blobs)):
            yield error("missing edge", subject, f"it names {digest}")
        for digest in sorted((blobs | children) - allowed):
            yield error("wrong edge", subject, f"it does not name {digest}")
        if row.deleted_at is not None:
            return
        foreign = {str(blob.descriptor.digest) for blob in parsed.blobs if not blob.distributable}
        yield from self._targets(connection, subject, row.repository_id, blobs - foreign, children)

    def _targets(
        self, connection: Connection, subject: str, repository_id: int, blobs: set[str], children: set[str]
    ) -> Iterator[Finding]:
        where = {"repository": repository_id}
        there = set(connection.scalars(_THERE, {**where, "digests": sorted(children)}))
        members = {found.digest: found for found in connection.execute(_MEMBERS, {**where, "digests": sorted(blobs)})}
        lacking = [digest for digest in sorted(blobs) if digest not in members or members[digest].hidden_at is not None]
        purged = set(connection.scalars(_PURGED, {"digests": [*lacking, *sorted(children - there)]}))
        own = connection.scalar(_SPARSE, where)
        sparse = self._allow_sparse if own is None else own
        for digest in sorted(children - there):
            yield note(
                "manifest lacks a child", subject, f"{digest} is not there: never pushed, or deleted by a client"
            )
        for digest in lacking:
            if digest in purged:
                yield note("manifest lacks a blob", subject, f"{digest} was purged")
            elif sparse:
                yield note("manifest lacks a blob", subject, f"{digest} was never pushed")
            else:
                yield error("manifest lacks a blob", subject, f"{digest} is no member of its repository")
        for digest, found in members.items():
            if found.state != LIVE and digest not in lacking:
                yield error("manifest lacks a blob", subject, f"{digest} is {found.state}: push it again")

    def _reviewed(self, connection: Connection, subject: str, row: Any) -> Iterator[Finding]:  # noqa: ANN401 - a row of _COLUMNS
        """Whatever can come to its end must have a review, or hang on something that has one."""
        where = place(connection, row.repository_id, self._window_ms)
        if where is None:
            yield error("manifest of no repository", subject, "its repository is gone")
            return
        walk = Walk(connection, where, self._database.now(connection))
        until = walk.until(row.id)
        if until is None or until >= FOR_EVER or where.deleted_at is not None:
            return
        values = {"repository": row.repository_id, "ids": list(walk.visited)}
        if connection.execute(_REVIEWED, values).first() is None:
            repair = partial(self._queue, row.repository_id, row.id, until)
            yield error("manifest without a review", subject, "nothing would ever remove it", repair)

    def _queue(self, repository_id: int, manifest_id: int, due_ms: int) -> None:
        self._database.write(
            lambda connection: self._reviews.manifests(connection, repository_id, [manifest_id], due_ms)
        )
