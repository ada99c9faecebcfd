"""Docker v1 images: one a layer, with parent links, for clients and tools that still list them.

An id that exists in the repository for another blob cannot be used again: the format rewrites it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, insert, select

from registry.db.engine import Database
from registry.db.models import LegacyImageRow, ManifestLegacyImage
from registry.digest import Digest
from registry.hooks.facade import Hooks
from registry.hooks.ports import ContentReader
from registry.hooks.types import LegacyImage, ParsedManifest

_TAKEN = select(LegacyImageRow.image_id, LegacyImageRow.blob_digest, LegacyImageRow.id).where(
    LegacyImageRow.repository_id == bindparam("repository"),
    LegacyImageRow.image_id.in_(bindparam("ids", expanding=True)),
)
_ROUNDS = 4


class LegacyIdTaken(Exception):
    """Another push has given one of the ids to other content in the meantime."""


def derive(
    database: Database,
    hooks: Hooks,
    content: ContentReader,
    repository_id: int | None,
    manifest: ParsedManifest,
) -> Sequence[LegacyImage]:
    """Return the manifest's v1 images, with ids that are free or stand for the same blob."""
    wanted = hooks.legacy_image_ids(manifest, content)
    if not wanted:
        return ()
    asked: set[str] = set(wanted)
    for _ in range(_ROUNDS):
        taken = _taken(database, repository_id, asked)
        images = hooks.legacy_images(manifest, content, taken)
        rewritten = {image.image_id for image in images} - asked
        if not rewritten:
            return images
        asked |= rewritten
    # Somebody has taken every id we could come up with: better no v1 images than a push that never ends.
    return ()


def store(
    database: Database,
    connection: Connection,
    repository_id: int,
    manifest_id: int,
    images: Sequence[LegacyImage],
) -> None:
    """Write the chain in the caller's transaction; raises :class:`LegacyIdTaken` on a real mismatch."""
    if not images:
        return
    connection.execute(
        database.insert_ignore(LegacyImageRow),
        [
            {
                "repository_id": repository_id,
                "image_id": image.image_id,
                "parent_id": image.parent_id,
                "blob_digest": str(image.blob),
                "created": image.created,
                "comment": image.comment,
                "command": image.command,
                "compatibility": image.compatibility,
            }
            for image in images
        ],
    )
    rows = connection.execute(
        _TAKEN, {"repository": repository_id, "ids": sorted({image.image_id for image in images})}
    )
    stored = {row.image_id: (row.blob_digest, row.id) for row in rows}
    for image in images:
        if stored[image.image_id][0] != str(image.blob):
            raise LegacyIdTaken(image.image_id)
    connection.execute(
        insert(ManifestLegacyImage),
        [
            {
                "manifest_id": manifest_id,
                "position": position,
                "legacy_image_id": stored[image.image_id][1],
            }
            for position, image in enumerate(images)
        ],
    )


def _taken(database: Database, repository_id: int | None, ids: Collection[str]) -> dict[str, Digest]:
    if repository_id is None:
        return {}
    with database.read() as connection:
        rows = connection.execute(_TAKEN, {"repository": repository_id, "ids": sorted(ids)}).all()
    return {row.image_id: Digest.parse(row.blob_digest) for row in rows}
