"""Whether a tag's manifest may be handed out, asked once for as long as nothing changes that plugins may look at.

A verdict is kept with the ids of all that it may follow from: the labels added to the manifest, the manifests that
refer to it, and the tags that do so by their names (OCI distribution-spec 1.1, "Referrers Tag Schema"; cosign puts
signatures there). None of these ids is ever used twice, and they are read anew for each pull.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from types import MappingProxyType

from sqlalchemy import Select, String, bindparam, cast, func, literal, literal_column, select, union_all

from registry.db.engine import Database
from registry.db.models import Label, Manifest, Tag
from registry.digest import Digest
from registry.errors import Denied, UnsupportedMediaType
from registry.hooks.admission import TagPull
from registry.hooks.admitting import PULL, Admission, AdmissionFailed
from registry.hooks.facade import Hooks
from registry.hooks.types import ParsedManifest
from registry.manifests.content import as_stored
from registry.manifests.labels import API, together
from registry.manifests.stored_labels import added_labels, own_labels
from registry.names import RepositoryName, TagName
from registry.repositories.current import alive

MAX_VERDICTS = 10_000
_MOST_IDS = 200
"""Verdicts about manifests with more labels and referrers than this are not kept."""
_ABOVE_ALL = "\x7f"
"""Sorts behind every character of a tag."""

Revision = frozenset[str]
_NOTHING: Revision = frozenset()
_Key = tuple[int, str, int, bool, tuple[str, ...]]


class PullAdmission:
    """Asks about pulls by tag, and keeps the verdicts of this process."""

    def __init__(self, database: Database, hooks: Hooks, admission: Admission) -> None:
        """Ask ``admission`` about manifests as ``hooks`` read them."""
        self._database = database
        self._hooks = hooks
        self._admission = admission
        self._revision = database.prepare(_revision_statement(database))
        self._verdicts: OrderedDict[_Key, tuple[Revision, Denied | None]] = OrderedDict()
        self._turn = threading.Lock()

    def require(
        self,
        repository: RepositoryName,
        tag: TagName,
        found: tuple[int, int, str],
        stored: tuple[str, bytes],
        *,
        deleted: bool = False,
    ) -> None:
        """Raise :class:`Denied` where the manifest may not be handed out by this tag.

        ``found`` are the repository's id, the manifest's id and its digest, ``stored`` its media type and bytes; with
        ``deleted`` it may be a deleted one, of the past.
        """
        asked = tuple(self._admission.asked(PULL))
        if not asked:
            return
        repository_id, manifest_id, digest = found
        key = (repository_id, tag.value, manifest_id, deleted, asked)  # who is blocked decides about nothing
        before = self._read_revision(repository_id, manifest_id, digest)
        known = self._verdicts.get(key)
        if known is not None and known[0] == before:
            verdict = known[1]
        else:
            pull = self._pull(repository, tag, manifest_id, digest, stored)
            verdict = self._ask(pull, deleted=deleted)
            if len(before) <= _MOST_IDS and self._read_revision(repository_id, manifest_id, digest) == before:
                self._keep(key, before, verdict)
        if verdict is not None:
            raise Denied(verdict.message, detail=verdict.detail)

    def _ask(self, pull: TagPull, *, deleted: bool) -> Denied | None:
        try:
            self._admission.pull(pull, deleted=deleted)
        except AdmissionFailed:  # no verdict: the next pull asks again
            raise
        except Denied as error:
            return Denied(error.message, detail=error.detail)  # without what it came from: verdicts are kept
        return None

    def _pull(
        self, repository: RepositoryName, tag: TagName, manifest_id: int, digest: str, stored: tuple[str, bytes]
    ) -> TagPull:
        with self._database.read() as connection:
            labels = together(dict(own_labels(connection, manifest_id)), added_labels(connection, manifest_id).labels)
        manifest = self._parsed(*stored)
        return TagPull(repository.value, tag.value, Digest.parse(digest), manifest, MappingProxyType(dict(labels)))

    def _parsed(self, media_type: str, payload: bytes) -> ParsedManifest:
        try:
            return self._hooks.parse(media_type, payload)
        except UnsupportedMediaType:  # its plugin was removed
            return as_stored(media_type, payload)

    def _read_revision(self, repository_id: int, manifest_id: int, digest: str) -> Revision:
        sidecar = digest.replace(":", "-")
        wanted: dict[str, object] = {
            "repository": repository_id,
            "manifest": manifest_id,
            "digest": digest,
            "sidecar": sidecar,
            "sidecars_end": sidecar + _ABOVE_ALL,
        }
        with self._database.read() as connection:
            row = self._revision(connection, wanted)
        return frozenset(row[0].split(",")) if row is not None and row[0] else _NOTHING

    def _keep(self, key: _Key, revision: Revision, verdict: Denied | None) -> None:
        with self._turn:
            self._verdicts[key] = (revision, verdict)
            self._verdicts.move_to_end(key)
            if len(self._verdicts) > MAX_VERDICTS:
                self._verdicts.popitem(last=False)


def _revision_statement(database: Database) -> Select[str]:
    """Select the ids of what a verdict may follow from, as one text: this runs for each pull."""
    labels = select(literal("l").concat(cast(Label.id, String)).label("one")).where(
        Label.manifest_id == bindparam("manifest"), Label.source == API
    )
    referrers = select(literal("m").concat(cast(Manifest.id, String))).where(
        Manifest.repository_id == bindparam("repository"),
        Manifest.subject_digest == bindparam("digest"),
        Manifest.deleted_at.is_(None),
    )
    sidecars = select(literal("t").concat(cast(Tag.id, String))).where(
        Tag.repository_id == bindparam("repository"),
        Tag.name >= bindparam("sidecar"),
        Tag.name < bindparam("sidecars_end"),
        alive(database.now_clause()),
    )
    found = union_all(labels, referrers, sidecars).subquery()
    joined = func.group_concat if database.dialect == "sqlite" else func.string_agg
    return select(joined(found.c.one, literal_column("','")))
