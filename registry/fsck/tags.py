"""What must not be of repositories and of the periods of tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, exists, not_, or_, select
from sqlalchemy.orm import aliased

from registry.db.models import GcReview, Manifest, Repository, Tag
from registry.db.models.work import REPOSITORY
from registry.fsck.findings import Kind
from registry.fsck.repairs import Repairs
from registry.fsck.scanning import AnySelect, Fault
from registry.repositories.current import alive

_PERIOD = "{repository}:{tag}"
_OTHER = aliased(Tag)
_ALIVE = alive(bindparam("now"))


def _periods(condition: Any) -> AnySelect:  # noqa: ANN401 - any condition of SQLAlchemy's
    columns = (Tag.id.label("at"), Repository.name.label("repository"), Tag.name.label("tag"), Tag.digest)
    return (
        select(*columns)
        .outerjoin(Repository, Repository.id == Tag.repository_id)
        .outerjoin(Manifest, Manifest.id == Tag.manifest_id)
        .where(condition)
    )


_OVERLAPS = exists().where(
    _OTHER.repository_id == Tag.repository_id,
    _OTHER.name == Tag.name,
    _OTHER.lifetime_start_ms >= Tag.lifetime_start_ms,
    _OTHER.id != Tag.id,
    or_(
        _OTHER.lifetime_start_ms == Tag.lifetime_start_ms,
        _OTHER.lifetime_start_ms < Tag.lifetime_end_ms,
        Tag.current == 1,
    ),
)


def _tag(kind: Kind, condition: Any, detail: str) -> Fault:  # noqa: ANN401 - any condition of SQLAlchemy's
    return Fault(kind, _periods(condition), Tag.id, Tag.repository_id, _PERIOD, f"period {{at}}: {detail}")


TAG_FAULTS: Sequence[Fault] = (
    _tag(Kind.TAG_OVERLAP, _OVERLAPS, "another period starts before this one ends"),
    _tag(Kind.TAG_BACKWARDS, Tag.lifetime_end_ms <= Tag.lifetime_start_ms, "its end is not after its start"),
    _tag(
        Kind.TAG_ENDLESS,
        or_(and_(Tag.current.is_(None), Tag.lifetime_end_ms.is_(None)), Tag.current != 1),
        "it is not current, and has no end",
    ),
    _tag(
        Kind.TAG_ELSEWHERE,
        or_(Manifest.repository_id != Tag.repository_id, Manifest.digest != Tag.digest),
        "its manifest is not {digest} of this repository",
    ),
    _tag(
        Kind.TAG_OF_NOTHING,
        or_(
            and_(_ALIVE, or_(Manifest.id.is_(None), Manifest.deleted_at.is_not(None))),
            and_(Tag.manifest_id.is_not(None), Manifest.id.is_(None)),
        ),
        "{digest} is not there",
    ),
    _tag(
        Kind.TAG_IMMUTABLE_ENDS,
        and_(Tag.current == 1, or_(Tag.immutable, Tag.label_immutable), Tag.lifetime_end_ms.is_not(None)),
        "it must never end, and has an end",
    ),
)


def repository_faults(repairs: Repairs) -> Sequence[Fault]:
    """Return what must not be of repositories."""
    columns = (Repository.id.label("at"), Repository.id.label("repository_id"), Repository.name.label("repository"))
    reviewed = exists().where(
        GcReview.kind == REPOSITORY, GcReview.repository_id == Repository.id, GcReview.target == Repository.id
    )
    half = or_(
        and_(Repository.current.is_(None), Repository.deleted_at.is_(None)),
        and_(Repository.current.is_not(None), Repository.deleted_at.is_not(None)),
        Repository.current != 1,
    )
    return (
        Fault(
            Kind.REPOSITORY_STATE,
            select(*columns).where(half),
            Repository.id,
            Repository.id,
            "{repository}",
            "repository {at} is neither living nor deleted",
        ),
        Fault(
            Kind.REPOSITORY_UNREVIEWED,
            select(*columns).where(Repository.current.is_(None), not_(reviewed)),
            Repository.id,
            Repository.id,
            "{repository}",
            "repository {at} was deleted, and nothing would remove it",
            repair=repairs.review_repository,
        ),
    )
