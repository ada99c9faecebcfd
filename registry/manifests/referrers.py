"""Referrers: the manifests that name another one as their subject.

Source: OCI distribution-spec 1.1, "Listing Referrers".
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Select, bindparam, func, or_, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.db.engine import Database
from registry.db.models import Manifest
from registry.digest import Digest
from registry.names import RepositoryName
from registry.pages import Page
from registry.repositories.repositories import find_repository

PAGE_BYTES = 4 * 1024 * 1024
"""A page ends with the referrer whose annotations exceed this in total, however many were asked for."""

_KEYS = select(Manifest.id, Manifest.artifact_type, func.length(Manifest.annotations).label("length")).where(
    Manifest.repository_id == bindparam("repository"),
    Manifest.subject_digest == bindparam("subject"),
    Manifest.deleted_at.is_(None),
)
_AFTER = or_(
    Manifest.artifact_type > bindparam("last_type"),
    (Manifest.artifact_type == bindparam("last_type")) & (Manifest.id > bindparam("last_id")),
)
_ORDER = (Manifest.artifact_type, Manifest.id)


def _page(keys: Select[int, str, int]) -> Select[int, str, str, str, int, str, int]:
    """Add the columns of a page's rows, as far as its bytes reach, and how many rows there would have been.

    Lengths are added up over the keys alone, so that no more annotations than those of the page are ever held.
    """
    key = keys.order_by(*_ORDER).limit(bindparam("limit")).subquery()
    order = (key.c.artifact_type, key.c.id)
    summed = select(
        key.c.id, (func.sum(key.c.length).over(order_by=order) - key.c.length).label("before"), func.count().over()
    ).subquery()
    row_id, before, total = summed.c
    return (
        select(
            Manifest.id,
            Manifest.artifact_type,
            Manifest.media_type,
            Manifest.digest,
            Manifest.size,
            Manifest.annotations,
            total,
        )
        .join(summed, row_id == Manifest.id)
        .where(before <= PAGE_BYTES)
        .order_by(*_ORDER)
    )


_ALL = _page(_KEYS.where(_AFTER))
_OF_TYPE = _page(_KEYS.where(Manifest.artifact_type == bindparam("type"), Manifest.id > bindparam("last_id")))


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of referrers ended."""

    artifact_type: str = ""
    row_id: int = 0


@dataclass(frozen=True, slots=True)
class Referrer:
    """One referrer: its descriptor as JSON fields, and the cursor behind it."""

    descriptor: dict[str, object]
    cursor: Cursor


class ReferrersService:
    """Lists referrers."""

    def __init__(self, database: Database, authorizer: Authorizer) -> None:
        """Read from ``database``, as far as ``authorizer`` allows."""
        self._database = database
        self._authorizer = authorizer

    def list(
        self,
        actor: Actor,
        repository: RepositoryName,
        subject: Digest,
        artifact_type: str | None,
        after: Cursor,
        limit: int,
    ) -> Page[Referrer]:
        """Return referrers of ``subject``, of ``artifact_type`` if given; none where anything is unknown."""
        self._authorizer.require(actor, Action.PULL, repository, str(subject))
        with self._database.read() as connection:
            repository_id = find_repository(connection, repository)
            if repository_id is None:
                return Page((), more=False)
            values: dict[str, object] = {
                "repository": repository_id,
                "subject": str(subject),
                "last_id": after.row_id,
                "limit": limit + 1,
            }
            if artifact_type is None:
                rows = connection.execute(_ALL, {**values, "last_type": after.artifact_type}).all()
            else:
                rows = connection.execute(_OF_TYPE, {**values, "type": artifact_type}).all()
        found = [_referrer(*row[:-1]) for row in rows[:limit]]
        return Page(found, more=bool(rows) and len(found) < rows[0][-1])


def _referrer(row_id: int, artifact_type: str, media_type: str, digest: str, size: int, annotations: str) -> Referrer:
    descriptor: dict[str, object] = {"mediaType": media_type, "digest": digest, "size": size}
    if artifact_type:
        descriptor["artifactType"] = artifact_type
    if annotations != "{}":
        descriptor["annotations"] = json.loads(annotations)
    return Referrer(descriptor, Cursor(artifact_type, row_id))
