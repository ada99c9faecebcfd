"""Checks of manifests: their bytes against their digest, and what these say against rows and edges."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import BindParameter, bindparam, select

from registry.db.engine import Database
from registry.db.models import Manifest, ManifestBlob, ManifestChild, Repository
from registry.digest import Digest
from registry.errors import RegistryError, UnsupportedMediaType
from registry.fsck.findings import Finding, Kind, error, note
from registry.fsck.scanning import AnyRow, AnySelect, Scope
from registry.hooks.facade import Hooks
from registry.hooks.types import ParsedManifest
from registry.manifests.creator import EMPTY_LAYER_DIGEST

_BATCH = 50
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_COLUMNS = (
    Manifest.id,
    Repository.name.label("repository"),
    Manifest.repository_id,
    Manifest.digest,
    Manifest.media_type,
    Manifest.size,
    Manifest.artifact_type,
    Manifest.config_media_type,
    Manifest.subject_digest,
    Manifest.annotations,
    Manifest.payload,
)
_ROWS = select(*_COLUMNS).outerjoin(Repository, Repository.id == Manifest.repository_id)
_BY_ID = _ROWS.where(Manifest.id.in_(_IDS)).order_by(Manifest.id)
_PAGE = select(Manifest.id).where(Manifest.id > bindparam("last")).order_by(Manifest.id).limit(_BATCH)
_BLOB_EDGES: AnySelect = select(ManifestBlob.manifest_id, ManifestBlob.digest, ManifestBlob.repository_id).where(
    ManifestBlob.manifest_id.in_(_IDS)
)
_CHILD_EDGES: AnySelect = select(ManifestChild.manifest_id, ManifestChild.digest, ManifestChild.repository_id).where(
    ManifestChild.manifest_id.in_(_IDS)
)
Edges = dict[int, list[AnyRow]]


class ManifestChecks:
    """Reads every manifest again, as its format does."""

    def __init__(self, database: Database, hooks: Hooks) -> None:
        """Parse with ``hooks``."""
        self._database = database
        self._hooks = hooks

    def pages(self, scope: Scope) -> Iterator[Sequence[int]]:
        """Yield the ids of all manifests of the scope, in order."""
        last, statement = 0, scope.limit(_PAGE, Manifest.repository_id)
        while True:
            with self._database.read() as connection:
                ids = connection.scalars(statement, {"last": last}).all()
            if not ids:
                return
            yield ids
            last = ids[-1]

    def check(self, ids: Sequence[int]) -> Iterator[Finding]:
        """Yield what is wrong with manifests at two looks."""
        for manifest_id, first in self._look(ids).items():
            again = self._look([manifest_id]).get(manifest_id, [])
            yield from (finding for finding in again if finding in first)

    def _look(self, ids: Sequence[int]) -> dict[int, list[Finding]]:
        # Edges never change: where the row is still there after they were read, they are all of its edges.
        with self._database.read() as connection:
            edges = [
                _by_manifest(connection.execute(statement, {"ids": ids}).all())
                for statement in (_BLOB_EDGES, _CHILD_EDGES)
            ]
            rows = connection.execute(_BY_ID, {"ids": ids}).all()
        found = {row.id: list(self._of(row, edges[0][row.id], edges[1][row.id])) for row in rows}
        return {manifest_id: findings for manifest_id, findings in found.items() if findings}

    def _of(self, row: AnyRow, blobs: Sequence[AnyRow], children: Sequence[AnyRow]) -> Iterator[Finding]:
        subject = f"{row.repository}@{row.digest}"
        payload = bytes(row.payload)
        if len(payload) != row.size:
            yield error(Kind.MANIFEST_DAMAGED, subject, f"it has {len(payload)} bytes, not {row.size}")
        try:
            wanted = Digest.parse(row.digest)
        except RegistryError as problem:
            yield error(Kind.MANIFEST_DAMAGED, subject, f"its digest is none: {problem.message}")
            return
        try:
            parsed = self._hooks.parse(row.media_type, payload)
        except RegistryError as problem:
            yield self._unparsed(subject, wanted, payload, problem)
            return
        real = Digest.of(parsed.digest_bytes, wanted.algorithm)
        if real != wanted:
            yield error(Kind.MANIFEST_DAMAGED, subject, f"its bytes have the digest {real}")
            return
        yield from _columns(subject, row, parsed)
        yield from self._edges(subject, row, parsed, blobs, children)

    @staticmethod
    def _unparsed(subject: str, wanted: Digest, payload: bytes, problem: RegistryError) -> Finding:
        """Tell of bytes that no format reads: they may be right all the same."""
        if Digest.of(payload, wanted.algorithm) == wanted:
            return note(Kind.MANIFEST_UNREADABLE, subject, f"its digest is right; {problem.message}")
        if isinstance(problem, UnsupportedMediaType):
            reason = f"no installed format can tell what its digest is of; {problem.message}"
            return note(Kind.MANIFEST_UNREADABLE, subject, reason)
        return error(Kind.MANIFEST_DAMAGED, subject, f"its bytes have another digest; {problem.message}")

    def _edges(
        self,
        subject: str,
        row: AnyRow,
        parsed: ParsedManifest,
        blobs: Sequence[AnyRow],
        children: Sequence[AnyRow],
    ) -> Iterator[Finding]:
        to_blobs, to_children = {edge.digest for edge in blobs}, {edge.digest for edge in children}
        named = {str(blob.descriptor.digest) for blob in parsed.blobs}
        entries = {str(child.digest) for child in self._hooks.children(parsed)}
        # An entry that no format owns, and that was a blob when it came, is kept as one.
        for digest in sorted((named - to_blobs) | (entries - to_children - to_blobs)):
            yield error(Kind.EDGE_MISSING, subject, f"it names {digest}")
        allowed = named | entries | {str(EMPTY_LAYER_DIGEST)}
        for digest in sorted((to_blobs - allowed) | (to_children - entries)):
            yield error(Kind.EDGE_WRONG, subject, f"it does not name {digest}")
        for edge in (*blobs, *children):
            if edge.repository_id != row.repository_id:
                yield error(Kind.EDGE_WRONG, subject, f"its edge to {edge.digest} is in another repository")


def _columns(subject: str, row: AnyRow, parsed: ParsedManifest) -> Iterator[Finding]:
    """Compare what is kept of a manifest to be searched by with what it says."""
    named = "" if parsed.subject is None else str(parsed.subject.digest)
    if named != row.subject_digest:
        kept = row.subject_digest or "none"
        yield error(Kind.EDGE_WRONG, subject, f"its subject is {named or 'none'}, and its row says {kept}")
    said = {
        "artifact type": (row.artifact_type, parsed.artifact_type),
        "config media type": (row.config_media_type, parsed.config.media_type if parsed.config is not None else ""),
        "annotations": (json.loads(row.annotations), dict(parsed.annotations)),
    }
    for name, (stored, real) in said.items():
        if stored != real:
            yield error(Kind.MANIFEST_COLUMNS, subject, f"its {name}: {str(real)[:200]!r}, not {str(stored)[:200]!r}")


def _by_manifest(rows: Sequence[AnyRow]) -> Edges:
    found: Edges = defaultdict(list)
    for row in rows:
        found[row.manifest_id].append(row)
    return found
