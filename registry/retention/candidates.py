"""What rules decide about, read in pages: the tags and the untagged manifests of a repository."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, String, bindparam, exists, func, select

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Manifest, ManifestChild, Tag
from registry.repositories.current import alive
from registry.repositories.tag_values import Period

PAGE = 1_000
_REFERRER_TAG = re.compile(r"sha256-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?")
"""What cosign names signatures, attestations and SBOMs, and OCI distribution-spec 1.1 ("Referrers Tag Schema")."""

_AFTER = bindparam("after", type_=String())
_AS_OF = bindparam("as_of", type_=BigInteger())
_ALIVE = alive(_AS_OF)
_TAG_COLUMNS = (
    *(getattr(Tag, column) for column in Period._fields),
    Manifest.last_pulled_at,
    Manifest.lease_until,
    Manifest.subject_digest,
)
_OF_MANIFEST = Manifest.id == Tag.manifest_id
_TAGS = (
    select(*_TAG_COLUMNS)
    .join(Manifest, _OF_MANIFEST)
    .where(Tag.repository_id == bindparam("repository"), _ALIVE, Tag.lifetime_start_ms <= _AS_OF, Tag.name > _AFTER)
    .order_by(Tag.name)
    .limit(PAGE)
)
_TAGS_AGAIN = (
    select(*_TAG_COLUMNS)
    .join(Manifest, _OF_MANIFEST)
    .where(Tag.id.in_(bindparam("ids", expanding=True)), _ALIVE)
    .order_by(Manifest.id, Tag.id)
    .with_for_update(of=Manifest)
)
_LAST_END = select(func.max(Tag.lifetime_end_ms)).where(Tag.manifest_id == Manifest.id).scalar_subquery()
_SUBJECT = table(Manifest).alias("subject")
_UNHELD = (
    Manifest.deleted_at.is_(None)
    & ~exists().where(Tag.manifest_id == Manifest.id, _ALIVE)
    # Content of what was deleted but can be restored is left for the collector, or the restored would be broken.
    & ~exists().where(ManifestChild.repository_id == Manifest.repository_id, ManifestChild.digest == Manifest.digest)
    & ~exists().where(_SUBJECT.c.repository_id == Manifest.repository_id, _SUBJECT.c.digest == Manifest.subject_digest)
)
_UNTAGGED_COLUMNS = (
    Manifest.id,
    Manifest.digest,
    Manifest.created_ms,
    _LAST_END,
    Manifest.last_pulled_at,
    Manifest.lease_until,
    Manifest.label_pin,
)
_UNTAGGED = (
    select(*_UNTAGGED_COLUMNS)
    .where(
        Manifest.repository_id == bindparam("repository"),
        Manifest.digest > _AFTER,
        Manifest.created_ms <= _AS_OF,
        _UNHELD,
    )
    .order_by(Manifest.digest)
    .limit(PAGE)
)
_UNTAGGED_AGAIN = (
    select(*_UNTAGGED_COLUMNS)
    .where(Manifest.id.in_(bindparam("ids", expanding=True)), _UNHELD)
    .order_by(Manifest.id)
    .with_for_update(of=Manifest)
)
_BY_DIGEST = select(Manifest.digest, Manifest.id).where(
    Manifest.repository_id == bindparam("repository"), Manifest.digest.in_(bindparam("digests", expanding=True))
)


class LivingTag(NamedTuple):
    """A living period, what is known of its manifest, and the digest of the manifest it was made for, if any."""

    period: Period
    pulled_ms: int | None
    lease_until: int
    subject: str


class UntaggedManifest(NamedTuple):
    """A manifest that no living tag, parent or subject holds; ``since_ms`` is when it was pushed or lost its tag."""

    id: int
    digest: str
    since_ms: int
    pulled_ms: int | None
    lease_until: int
    label_pin: bool


def subject_of(tag: str, digest: str, subject: str) -> str:
    """Return the digest that a tag or its manifest refers to, or nothing.

    ``digest`` and ``subject`` are the manifest's own and the one it names. A tag that says its own digest refers to
    nothing.
    """
    match = _REFERRER_TAG.fullmatch(tag)
    named = f"sha256:{match[1]}" if match is not None else subject
    return "" if named == digest else named


def present(connection: Connection, repository_id: int, digests: Iterable[str]) -> Mapping[str, int]:
    """Return the ids of those manifests that have a row, deleted or not."""
    wanted = sorted(set(digests) - {""})
    if not wanted:
        return {}
    rows = connection.execute(_BY_DIGEST, {"repository": repository_id, "digests": wanted})
    return {row.digest: row.id for row in rows}


def living_tags(database: Database, repository_id: int, as_of: int) -> Iterator[Sequence[LivingTag]]:
    """Yield pages of the living tags that were there at ``as_of``, by name.

    One has a subject only where that manifest has a row: otherwise it is a tag like any other.
    """
    after = ""
    while True:
        with database.read() as connection:
            page = _tags(
                connection, repository_id, _TAGS, {"repository": repository_id, "as_of": as_of, "after": after}
            )
        if not page:
            return
        yield page
        after = page[-1].period.name


def tags_again(connection: Connection, repository_id: int, now: int, ids: Sequence[int]) -> Mapping[int, LivingTag]:
    """Return those of some periods that still live, by id; their manifests are locked."""
    rows = _tags(connection, repository_id, _TAGS_AGAIN, {"ids": ids, "as_of": now})
    return {row.period.id: row for row in rows}


def untagged_manifests(database: Database, repository_id: int, as_of: int) -> Iterator[Sequence[UntaggedManifest]]:
    """Yield pages of the untagged manifests that were there at ``as_of``, by digest."""
    after = ""
    while True:
        values = {"repository": repository_id, "as_of": as_of, "after": after}
        with database.read() as connection:
            page = [_untagged(*row) for row in connection.execute(_UNTAGGED, values)]
        if not page:
            return
        yield page
        after = page[-1].digest


def untagged_again(connection: Connection, now: int, ids: Sequence[int]) -> Mapping[int, UntaggedManifest]:
    """Return those of some manifests that still are untagged, by id; they are locked."""
    rows = [_untagged(*row) for row in connection.execute(_UNTAGGED_AGAIN, {"ids": ids, "as_of": now})]
    return {row.id: row for row in rows}


def _tags(
    connection: Connection, repository_id: int, statement: object, values: Mapping[str, object]
) -> list[LivingTag]:
    rows = connection.execute(statement, values).all()  # type: ignore[call-overload] # one of the two above
    width = len(Period._fields)
    found = [
        LivingTag(period, pulled, lease, subject_of(period.name, period.digest, subject))
        for *columns, pulled, lease, subject in rows
        for period in [Period._make(columns[:width])]
    ]
    there = present(connection, repository_id, (tag.subject for tag in found))
    return [tag if tag.subject in there else tag._replace(subject="") for tag in found]


def _untagged(
    row_id: int,
    digest: str,
    created: int,
    last_end: int | None,
    pulled: int | None,
    lease: int,
    label_pin: bool,  # noqa: FBT001 - a row's columns
) -> UntaggedManifest:
    return UntaggedManifest(row_id, digest, max(created, last_end or 0), pulled, lease, label_pin)
