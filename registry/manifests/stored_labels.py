"""The rows of labels: how they are read, and how to tell that those which the API added are others by now."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, func, select

from registry.db.base import table
from registry.db.models import Label as LabelModel
from registry.errors import LabelInvalid
from registry.manifests.labels import API, MANIFEST, MAX_LABELS, AddedLabels, Label

MAX_ADDED = 1024 * 1024
"""How many characters all keys and values that were added to one manifest may have: each push of it reads them."""

_LABEL = table(LabelModel)
_OF_MANIFEST = _LABEL.c.manifest_id == bindparam("manifest")
_LENGTH = func.length(_LABEL.c.key) + func.length(_LABEL.c.value)
_OWN = select(_LABEL.c.key, _LABEL.c.value).where(_OF_MANIFEST, _LABEL.c.source == MANIFEST).order_by(_LABEL.c.id)
_ADDED = (
    select(_LABEL.c.key, _LABEL.c.value, _LABEL.c.id).where(_OF_MANIFEST, _LABEL.c.source == API).order_by(_LABEL.c.id)
)
MARK = select(func.count(), func.coalesce(func.max(_LABEL.c.id), 0)).where(_OF_MANIFEST, _LABEL.c.source == API)
"""The mark of a manifest's added labels: ids are never used twice, so an addition raises it, a removal lowers it."""
_USED = select(func.count(), func.coalesce(func.sum(case((_LABEL.c.source == API, _LENGTH), else_=0)), 0)).where(
    _OF_MANIFEST
)


class StoredLabel(NamedTuple):
    """A label as it is stored. ``warning`` says what its action found odd about the value; ``source`` who gave it."""

    id: int
    key: str
    value: str
    media_type: str
    source: str
    warning: str


SHOWN = select(*(getattr(_LABEL.c, column) for column in StoredLabel._fields)).where(_OF_MANIFEST)
"""Labels of a manifest, to be made a :class:`StoredLabel` each; add which."""
PAGE_OF_LABELS = SHOWN.where(_LABEL.c.id > bindparam("after")).order_by(_LABEL.c.id).limit(bindparam("limit"))
ONE_LABEL = SHOWN.where(_LABEL.c.id == bindparam("label"))


def own_labels(connection: Connection, manifest_id: int) -> list[Label]:
    """Return the labels that came with a manifest."""
    return [(row.key, row.value) for row in connection.execute(_OWN, {"manifest": manifest_id})]


def added_labels(connection: Connection, manifest_id: int) -> AddedLabels:
    """Return the labels that were added to a manifest, with their mark."""
    rows = connection.execute(_ADDED, {"manifest": manifest_id}).all()
    return AddedLabels([(row.key, row.value) for row in rows], (len(rows), rows[-1].id if rows else 0))


def mark(connection: Connection, manifest_id: int) -> tuple[int, int]:
    """Return the mark of a manifest's added labels."""
    row = connection.execute(MARK, {"manifest": manifest_id}).one()
    return row[0], row[1]


def used(connection: Connection, manifest_id: int) -> tuple[int, int]:
    """Return how many labels a manifest has, and how many characters those have that were added to it."""
    row = connection.execute(_USED, {"manifest": manifest_id}).one()
    return row[0], int(row[1])


def require_room(connection: Connection, manifest_id: int, length: int) -> None:
    """Raise :class:`LabelInvalid` where a manifest cannot take a label of this length more."""
    count, so_far = used(connection, manifest_id)
    if count >= MAX_LABELS:
        raise LabelInvalid("the manifest has too many labels", detail={"labels": count, "limit": MAX_LABELS})
    if so_far + length > MAX_ADDED:
        raise LabelInvalid(
            "the labels added to this manifest are too long together",
            detail={"length": so_far + length, "limit": MAX_ADDED},
        )
