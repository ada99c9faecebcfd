"""What a manifest names, against what its repository holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, select

from registry.batches import batched
from registry.content.members import Member, members
from registry.content.purged import refuse_named
from registry.db.models import Manifest, ManifestChild
from registry.digest import Digest
from registry.errors import ManifestBlobUnknown, ManifestInvalid
from registry.hooks.facade import Hooks
from registry.hooks.types import Descriptor, ParsedManifest

MAX_NESTING = 32

_CHILDREN = select(Manifest.digest, Manifest.id, Manifest.size).where(
    Manifest.repository_id == bindparam("repository"),
    Manifest.digest.in_(bindparam("digests", expanding=True)),
    Manifest.deleted_at.is_(None),
)
_GRANDCHILDREN = (
    select(ManifestChild.digest)
    .distinct()
    .join(Manifest, Manifest.id == ManifestChild.manifest_id)
    .where(
        Manifest.repository_id == bindparam("repository"),
        Manifest.digest.in_(bindparam("digests", expanding=True)),
    )
)
_AT_ONCE = 5000


@dataclass(slots=True)
class Resolved:
    """What a manifest names.

    ``blobs`` and ``children`` are digests, each once, in the manifest's order (edges); ``members`` and
    ``child_ids`` are the rows behind those that are there, ``missing`` names the others that should be.
    """

    blobs: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    descriptors: list[Descriptor] = field(default_factory=list)
    members: dict[str, Member] = field(default_factory=dict)
    child_ids: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    layers_size: int = 0


def resolve(connection: Connection, hooks: Hooks, repository_id: int | None, manifest: ParsedManifest) -> Resolved:
    """Look up all that ``manifest`` names.

    Raises :class:`ManifestInvalid` for a size that is not that of the content, and for nesting that is too deep;
    :class:`~registry.errors.DigestPurged` for what is missing because it was purged, also where content may be missing.
    """
    found = Resolved(descriptors=list(hooks.children(manifest)))
    _children(connection, hooks, repository_id, found)
    _blobs(connection, repository_id, manifest, found)
    named = (*found.blobs, *found.children)
    refuse_named(connection, [text for text in named if text not in found.members and text not in found.child_ids])
    if found.children and repository_id is not None:
        _refuse_depth(connection, repository_id, found.children)
    return found


def require_complete(found: Resolved) -> None:
    """Raise one :class:`ManifestBlobUnknown` that names everything missing."""
    if found.missing:
        raise ManifestBlobUnknown(detail=[{"digest": digest} for digest in found.missing])


def _children(connection: Connection, hooks: Hooks, repository_id: int | None, found: Resolved) -> None:
    wanted: dict[str, Descriptor] = {str(child.digest): child for child in reversed(found.descriptors)}
    stored = _stored_children(connection, repository_id, wanted)
    foreign = [text for text in wanted if text not in stored and not hooks.owns(wanted[text].media_type)]
    blobs = _members(connection, repository_id, foreign)
    for child in found.descriptors:
        text = str(child.digest)
        if text in blobs:
            _same_size(child, blobs[text].size)
        elif text in stored:
            _same_size(child, stored[text][1])
    for text in reversed(wanted):
        if text in blobs:
            # BuildKit's registry cache lists layers in an index: what is a blob is kept as one.
            found.blobs.append(text)
            found.members[text] = blobs[text]
            continue
        found.children.append(text)
        if text in stored:
            found.child_ids[text] = stored[text][0]
        else:
            found.missing.append(text)


def _blobs(connection: Connection, repository_id: int | None, manifest: ParsedManifest, found: Resolved) -> None:
    named = {str(blob.descriptor.digest): blob for blob in reversed(manifest.blobs)}
    present = _members(connection, repository_id, named)
    for text in reversed(named):
        blob = named[text]
        if text not in found.members:
            found.blobs.append(text)
        if text in present:
            found.members[text] = present[text]
        elif blob.distributable:
            found.missing.append(text)
    config = manifest.config.digest if manifest.config is not None else None
    for reference in manifest.blobs:
        descriptor = reference.descriptor
        member = present.get(str(descriptor.digest))
        if member is not None:  # of a digest that is named twice, each descriptor must be right
            _same_size(descriptor, member.size)
        if descriptor.digest != config:
            found.layers_size += member.size if member is not None else max(descriptor.size, 0)


def _stored_children(
    connection: Connection, repository_id: int | None, digests: Collection[str]
) -> Mapping[str, tuple[int, int]]:
    if not digests or repository_id is None:
        return {}
    rows = connection.execute(_CHILDREN, {"repository": repository_id, "digests": sorted(digests)})
    return {row.digest: (row.id, row.size) for row in rows}


def _members(connection: Connection, repository_id: int | None, digests: Collection[str]) -> Mapping[str, Member]:
    return {} if repository_id is None else members(connection, repository_id, digests)


def _same_size(descriptor: Descriptor, size: int) -> None:
    if descriptor.size not in (-1, size):
        raise ManifestInvalid(
            "a descriptor's size is not that of its content",
            detail={"digest": str(descriptor.digest), "size": descriptor.size, "stored": size},
        )


def _refuse_depth(connection: Connection, repository_id: int, children: Sequence[str]) -> None:
    """Walk down level by level; each digest counts once a level, so a diamond does not explode."""
    level, depth = sorted(set(children)), 1
    while level:
        depth += 1
        if depth > MAX_NESTING:
            raise ManifestInvalid(f"manifests are nested deeper than {MAX_NESTING} levels", detail={"depth": depth})
        below: set[str] = set()
        for part in batched(level, _AT_ONCE):
            below.update(connection.execute(_GRANDCHILDREN, {"repository": repository_id, "digests": part}).scalars())
        level = sorted(below)


def digest_of(manifest: ParsedManifest, wanted: Digest | None) -> Digest:
    """Return the manifest's digest in the algorithm of ``wanted`` (sha256 where the client named none)."""
    if wanted is None:
        return Digest.of(manifest.digest_bytes)
    return Digest.of(manifest.digest_bytes, wanted.algorithm)
