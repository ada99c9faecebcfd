"""Whether a tag's manifest may be handed out, asked once for as long as nothing changes that plugins may look at.

A verdict is kept with the ids of all that it may follow from: the labels added to the manifest, the manifests that
refer to it, and the tags that do so by their names (OCI distribution-spec 1.1, "Referrers Tag Schema"; cosign puts
signatures there). None of these ids is ever used twice, and they are read anew for each pull, by the statement that
finds the manifest. A denial is kept for seconds alone: it may follow from content that was missing, and has no id.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import ColumnElement, ScalarSelect, String, bindparam, cast, func, literal_column, select
from sqlalchemy.orm import aliased

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
DENIED_SECONDS = 5.0
_ABOVE_ALL = "\x7f"
"""Sorts behind every character of a tag."""

Revision = tuple[str | None, ...]
"""What :func:`revision_columns` select."""
_Key = tuple[int, str, int, bool, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest that is about to be handed out; ``revision`` was read with it."""

    repository_id: int
    manifest_id: int
    digest: str
    media_type: str
    payload: bytes
    revision: Revision


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What plugins said of a state of things, at ``time.monotonic()``."""

    state: int
    denied: Denied | None
    asked_at: float

    def holds(self, state: int) -> bool:
        """Tell whether it is so still."""
        return self.state == state and (self.denied is None or time.monotonic() < self.asked_at + DENIED_SECONDS)


class PullAdmission:
    """Asks about pulls by tag, and keeps the verdicts of this process."""

    def __init__(self, database: Database, hooks: Hooks, admission: Admission) -> None:
        """Ask ``admission`` about manifests as ``hooks`` read them."""
        self._database = database
        self._hooks = hooks
        self._admission = admission
        self._revision = database.prepare(
            select(*revision_columns(database)).where(Manifest.id == bindparam("manifest"))
        )
        self._verdicts: OrderedDict[_Key, _Verdict] = OrderedDict()
        self._turn = threading.Lock()

    def asked(self) -> Sequence[str]:
        """Return the plugins that are asked; most registries have none."""
        return self._admission.asked(PULL)

    def require(
        self,
        asked: Sequence[str],
        repository: RepositoryName,
        tag: TagName,
        found: Found,
        *,
        deleted: bool = False,
    ) -> None:
        """Raise :class:`Denied` where one of ``asked`` says that the manifest may not be handed out by this tag.

        With ``deleted`` it may be a deleted one, of the past.
        """
        # Of plugins: who is blocked decides about nothing.
        key = (found.repository_id, tag.value, found.manifest_id, deleted, tuple(asked))
        state = hash(found.revision)
        verdict = self._verdicts.get(key)
        if verdict is None or not verdict.holds(state):
            denied = self._ask(self._pull(repository, tag, found), deleted=deleted)
            verdict = _Verdict(state, denied, time.monotonic())
            if self.revision(found.manifest_id) == found.revision:
                self._keep(key, verdict)
        if verdict.denied is not None:
            raise Denied(verdict.denied.message, detail=verdict.denied.detail)

    def revision(self, manifest_id: int) -> Revision:
        """Return the ids of what a verdict about a manifest may follow from."""
        with self._database.read() as connection:
            return tuple(self._revision(connection, {"manifest": manifest_id}) or ())

    def _ask(self, pull: TagPull, *, deleted: bool) -> Denied | None:
        try:
            self._admission.pull(pull, deleted=deleted)
        except AdmissionFailed:  # no verdict: the next pull asks again
            raise
        except Denied as error:
            return Denied(error.message, detail=error.detail)  # without what it came from: verdicts are kept
        return None

    def _pull(self, repository: RepositoryName, tag: TagName, found: Found) -> TagPull:
        with self._database.read() as connection:
            added = added_labels(connection, found.manifest_id).labels
            labels = together(dict(own_labels(connection, found.manifest_id)), added)
        manifest = self._parsed(found.media_type, found.payload)
        return TagPull(
            repository.value, tag.value, Digest.parse(found.digest), manifest, MappingProxyType(dict(labels))
        )

    def _parsed(self, media_type: str, payload: bytes) -> ParsedManifest:
        try:
            return self._hooks.parse(media_type, payload)
        except UnsupportedMediaType:  # its plugin was removed
            return as_stored(media_type, payload)

    def _keep(self, key: _Key, verdict: _Verdict) -> None:
        with self._turn:
            self._verdicts[key] = verdict
            self._verdicts.move_to_end(key)
            if len(self._verdicts) > MAX_VERDICTS:
                self._verdicts.popitem(last=False)


def revision_columns(database: Database) -> Sequence[ScalarSelect[str]]:
    """Select the ids of what a verdict about the manifest of a statement may follow from, each kind as one text."""
    joined = func.group_concat if database.dialect == "sqlite" else func.string_agg
    comma: ColumnElement[str] = literal_column("','")
    referrer = aliased(Manifest)
    sidecar = func.replace(Manifest.digest, ":", "-")
    return [
        select(joined(cast(one.id, String), comma)).where(*conditions).correlate(Manifest).scalar_subquery()
        for one, conditions in (
            (Label, (Label.manifest_id == Manifest.id, Label.source == API)),
            (
                referrer,
                (
                    referrer.repository_id == Manifest.repository_id,
                    referrer.subject_digest == Manifest.digest,
                    referrer.deleted_at.is_(None),
                ),
            ),
            (
                Tag,
                (
                    Tag.repository_id == Manifest.repository_id,
                    Tag.name >= sidecar,
                    Tag.name < sidecar.concat(_ABOVE_ALL),
                    alive(database.now_clause()),
                ),
            ),
        )
    ]
