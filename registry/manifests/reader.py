"""Finding, serving and converting manifests."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, bindparam, or_, select
from sqlalchemy.orm import aliased

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.content.leases import MANIFEST_REVIEW, Held, Leases
from registry.db.engine import Database
from registry.db.models import GcReview, Manifest, ManifestChild, Repository, Tag
from registry.digest import Digest
from registry.errors import ManifestInvalid, ManifestUnknown, UnsupportedMediaType
from registry.hooks.facade import Hooks, PluginFailed
from registry.hooks.ports import StorageDriver
from registry.hooks.types import ConversionRequest, ParsedManifest
from registry.manifests.content import RepositoryContent
from registry.manifests.pull_admission import Found, PullAdmission, revision_columns
from registry.manifests.signing import SigningKeys
from registry.names import Reference, RepositoryName, TagName
from registry.repositories.current import alive, explain_missing
from registry.repositories.repositories import require_repository

_CONVERSION_STEPS = 8
_log = logging.getLogger(__name__)
_BY_DIGEST = (
    select(Manifest.payload, Manifest.media_type, Manifest.digest, Manifest.repository_id, Manifest.id)
    .join(Repository, Repository.id == Manifest.repository_id)
    .where(
        Repository.name == bindparam("name"),
        Repository.current == 1,
        Manifest.digest == bindparam("reference"),
        Manifest.deleted_at.is_(None),
    )
)
_ASKED = _BY_DIGEST.add_columns(Manifest.lease_until, GcReview.due_ms.label("review")).outerjoin(
    GcReview, MANIFEST_REVIEW
)
_ANY = select(Manifest.id).where(
    Manifest.repository_id == bindparam("repository"), Manifest.digest == bindparam("digest")
)


@dataclass(frozen=True, slots=True)
class ServedManifest:
    """A manifest as it leaves: the exact bytes, their media type and their digest."""

    payload: bytes
    media_type: str
    digest: str
    manifest_id: int
    """The row that was pulled; of a converted manifest, that of the one it was made from."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The media types a client takes, best first; ``anything`` where it takes all."""

    media_types: Sequence[str]
    anything: bool

    def includes(self, media_type: str) -> bool:
        """Tell whether ``media_type`` may be served as it is."""
        return self.anything or media_type in self.media_types


class ManifestReader:
    """Serves manifests of repositories."""

    def __init__(
        self,
        database: Database,
        storage: StorageDriver,
        hooks: Hooks,
        authorizer: Authorizer,
        keys: SigningKeys,
        leases: Leases,
        admission: PullAdmission,
    ) -> None:
        """Convert with ``hooks``, sign with ``keys``, and hand out by tag what ``admission`` allows."""
        self._database = database
        self._storage = storage
        self._hooks = hooks
        self._authorizer = authorizer
        self._keys = keys
        self._leases = leases
        self._admission = admission
        by_tag = _by_tag(database)
        self._by_tag = database.prepare(by_tag)
        self._by_tag_asked = database.prepare(by_tag.add_columns(*revision_columns(database)))
        self._by_digest = database.prepare(_BY_DIGEST)
        self._asked = database.prepare(_ASKED)
        self._alive = _alive_statement(database)

    def get(self, actor: Actor, repository: RepositoryName, reference: Reference, accepted: Accepted) -> ServedManifest:
        """Return the manifest that ``reference`` names.

        By digest: any that is not deleted, as stored. By tag: in a media type the client accepts, converted if
        need be and possible, else as stored. Raises :class:`ManifestUnknown`, :class:`~registry.errors.NameUnknown`,
        and by tag :class:`~registry.errors.Denied`.
        """
        self._authorizer.require(actor, Action.PULL, repository, str(reference))
        asked: Sequence[str] = ()
        look_up = self._by_digest
        if isinstance(reference, TagName):
            asked = self._admission.asked()
            look_up = self._by_tag_asked if asked else self._by_tag
        with self._database.read() as connection:
            row = look_up(connection, {"name": repository.value, "reference": str(reference)})
            if row is None:
                raise self._missing(connection, repository, reference)
        stored = ServedManifest(row[0], row[1], row[2], row[4])
        if isinstance(reference, TagName) and asked:
            found = Found(row[3], row[4], row[2], row[1], row[0], tuple(row[5:]))
            self._admission.require(asked, repository, reference, found)
        if isinstance(reference, TagName) and not accepted.includes(stored.media_type):
            return self.converted(repository, reference, row[3], stored, accepted) or stored
        return stored

    def check(
        self, actor: Actor, repository: RepositoryName, reference: Reference, accepted: Accepted
    ) -> ServedManifest:
        """Return a manifest as :meth:`get` does; one asked for by digest stays for a lease, for a push to name it."""
        if isinstance(reference, TagName):
            return self.get(actor, repository, reference, accepted)
        self._authorizer.require(actor, Action.PULL, repository, str(reference))
        text = str(reference)
        with self._database.read() as connection:
            row = self._asked(connection, {"name": repository.value, "reference": text})
        if row is None or not self._leases.renew_manifest(actor, repository, text, Held(*row[3:])):
            return self.get(actor, repository, reference, accepted)
        return ServedManifest(row[0], row[1], row[2], row[4])

    def lookup(
        self, actor: Actor, repository: RepositoryName, digest: Digest, *, allow_dead: bool = False
    ) -> int | None:
        """Return the row id of a manifest that is alive, or None.

        Alive: a living tag or a pin holds it, or a manifest above it at any depth. ``allow_dead`` finds any row.
        """
        self._authorizer.require(actor, Action.PULL, repository, str(digest))
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            statement = _ANY if allow_dead else self._alive
            return connection.scalar(statement, {"repository": repository_id, "digest": str(digest)})

    def _missing(self, connection: Connection, repository: RepositoryName, reference: Reference) -> ManifestUnknown:
        repository_id = require_repository(connection, repository)
        if isinstance(reference, TagName):
            return explain_missing(connection, repository_id, reference)
        return ManifestUnknown(detail={"digest": str(reference)})

    def converted(
        self,
        repository: RepositoryName,
        tag: TagName,
        repository_id: int,
        stored: ServedManifest,
        accepted: Accepted,
        *,
        deleted: bool = False,
    ) -> ServedManifest | None:
        """Return the manifest in the first accepted media type that its format leads to, or None.

        With ``deleted``, what was deleted and is still kept counts as being there.
        """
        content = RepositoryContent(self._database, self._storage, self._hooks, repository_id, deleted=deleted)
        try:
            start = self._hooks.parse(stored.media_type, stored.payload)
            for wanted in accepted.media_types:
                request = ConversionRequest(wanted, repository.value, tag.value, self._keys.sign_schema1)
                if (step := self._led_to(wanted, start, content, request)) is not None:
                    digest = str(Digest.of(step.digest_bytes))
                    return ServedManifest(step.payload, step.media_type, digest, stored.manifest_id)
        except UnsupportedMediaType:  # its plugin was removed: served as it is
            return None
        except (PluginFailed, ManifestInvalid) as error:  # as good as removed, for who only pulls
            _log.warning("%s:%s is served as it is stored: %s", repository, tag, error.message)
        return None

    def _led_to(
        self, wanted: str, start: ParsedManifest, content: RepositoryContent, request: ConversionRequest
    ) -> ParsedManifest | None:
        step: ParsedManifest | None = start
        for _ in range(_CONVERSION_STEPS):
            step = self._hooks.convert(step, content, request) if step is not None else None
            if step is None or step.media_type == wanted:
                break
        return step


def _by_tag(database: Database) -> Select[bytes, str, str, int, int]:
    return (
        select(Manifest.payload, Manifest.media_type, Manifest.digest, Manifest.repository_id, Manifest.id)
        .join(Tag, Tag.manifest_id == Manifest.id)
        .join(Repository, Repository.id == Tag.repository_id)
        .where(
            Repository.name == bindparam("name"),
            Repository.current == 1,
            Tag.name == bindparam("reference"),
            alive(database.now_clause()),
            Manifest.deleted_at.is_(None),
        )
    )


def _alive_statement(database: Database) -> Select[int]:
    """Walk from the manifest up its parents (a recursive union visits each once) to a living tag or a pin."""
    up = (
        select(Manifest.id, Manifest.digest)
        .where(
            Manifest.repository_id == bindparam("repository"),
            Manifest.digest == bindparam("digest"),
            Manifest.deleted_at.is_(None),
        )
        .cte("up", recursive=True)
    )
    parent = aliased(Manifest)
    up = up.union(
        select(parent.id, parent.digest)
        .join(ManifestChild, ManifestChild.manifest_id == parent.id)
        .join(up, ManifestChild.digest == up.c.digest)
        .where(ManifestChild.repository_id == bindparam("repository"), parent.deleted_at.is_(None))
    )
    holder = aliased(Manifest)
    held = (
        select(holder.id)
        .join(up, up.c.id == holder.id)
        .outerjoin(Tag, (Tag.manifest_id == holder.id) & alive(database.now_clause()))
        .where(or_(Tag.id.is_not(None), holder.untagged_pin, holder.label_pin))
        .exists()
    )
    return select(Manifest.id).where(
        Manifest.repository_id == bindparam("repository"), Manifest.digest == bindparam("digest"), held
    )
