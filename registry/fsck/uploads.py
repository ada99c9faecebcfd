"""What must not be of uploads, and of deletions to come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, exists, func, or_, select

from registry.db.models import Repository, StorageDeletion, Upload, UploadPart
from registry.db.models.content import CLOSING, OPEN, WRITING
from registry.fsck.findings import Kind, Severity
from registry.fsck.repairs import Repairs
from registry.fsck.scanning import AnySelect, Fault

_STUBBORN = 5
"""A deletion that failed so often is told of."""


def _uploads() -> tuple[AnySelect, Any, Any]:
    """Return uploads beside the bytes and the number of their parts, the condition that these are all, and that."""
    parts = (
        select(
            UploadPart.upload_id,
            func.sum(UploadPart.size).label("size"),
            func.count().label("count"),
            func.max(UploadPart.number).label("last"),
        )
        .group_by(UploadPart.upload_id)
        .subquery()
    )
    size, count, last = (func.coalesce(parts.c[name], 0) for name in ("size", "count", "last"))
    rows = (
        select(
            Upload.id.label("at"),
            Repository.name.label("repository"),
            Upload.uuid,
            Upload.state,
            Upload.offset,
            Upload.storage_id,
            Upload.storage_key,
        )
        .outerjoin(Repository, Repository.id == Upload.repository_id)
        .outerjoin(parts, parts.c.upload_id == Upload.id)
    )
    return rows, count > 0, or_(size + Upload.tail_size != Upload.offset, last != count)


def upload_faults(repairs: Repairs) -> Sequence[Fault]:
    """Return what must not be of uploads."""
    rows, any_part, do_not_add_up = _uploads()
    # A store of whole files keeps nothing but the offset.
    in_pieces = or_(Upload.handle != "", Upload.tail_etag != "", any_part)
    queued = exists().where(
        StorageDeletion.storage_id == Upload.storage_id, StorageDeletion.storage_key == Upload.storage_key
    )

    def upload(kind: Kind, condition: Any, detail: str, **more: Any) -> Fault:  # noqa: ANN401 - any condition, any field
        subject = "upload {uuid} in {repository}"
        return Fault(kind, rows.where(condition), Upload.id, Upload.repository_id, subject, detail, **more)

    return (
        upload(
            Kind.UPLOAD_ROW,
            or_(
                Upload.state.not_in([OPEN, WRITING, CLOSING]),
                Upload.offset < 0,
                Upload.tail_size < 0,
                func.length(Upload.storage_key) != 32,  # noqa: PLR2004 - the length of a key
            ),
            "its state is {state}, its offset {offset} and its key {storage_key!r}",
        ),
        upload(
            Kind.UPLOAD_PARTS,
            and_(in_pieces, do_not_add_up),
            "its parts and its rest are not the {offset} bytes that were acknowledged",
        ),
        upload(
            Kind.UPLOAD_DOOMED,
            queued,
            "it goes on, and its bytes are queued for deletion",
            repair=repairs.keep_bytes,
        ),
    )


def deletion_faults() -> Sequence[Fault]:
    """Return what is to be known of deletions to come."""
    columns = (StorageDeletion.id.label("at"), StorageDeletion.storage_key, StorageDeletion.attempts)
    return (
        Fault(
            Kind.DELETION_FAILING,
            select(*columns).where(StorageDeletion.attempts >= _STUBBORN),
            StorageDeletion.id,
            None,
            "key {storage_key}",
            "its deletion has failed {attempts} times",
            severity=Severity.NOTE,
        ),
    )
