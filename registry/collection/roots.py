"""What keeps a manifest: the walk from it up to roots.

Parents keep their children and subjects their referrers; the edges hold digests and stay within one repository.
Roots are the periods of tags, pins, leases and last pulls. A deleted manifest is kept by its own recovery window
alone, and until that closes is a root for all that it reaches. A deleted repository's window is the only root of
all that it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, bindparam, func, select

from registry.batches import batched
from registry.db.models import Manifest, ManifestChild, Repository, Tag
from registry.repositories.current import alive

FOR_EVER = 1 << 62
"""The end of a root that has none."""
_AT_ONCE = 500

_COLUMNS = (
    Manifest.id,
    Manifest.digest,
    Manifest.subject_digest,
    Manifest.untagged_pin,
    Manifest.label_pin,
    Manifest.lease_until,
    Manifest.last_pulled_at,
    Manifest.deleted_at,
)
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_BY_ID = select(*_COLUMNS).where(Manifest.id.in_(_IDS)).order_by(Manifest.id)
_LOCKED = _BY_ID.with_for_update()
_SUBJECTS = select(*_COLUMNS).where(
    Manifest.repository_id == bindparam("repository"), Manifest.digest.in_(bindparam("digests", expanding=True))
)
_PARENTS = (
    select(ManifestChild.digest.label("child"), *_COLUMNS)
    .join(Manifest, Manifest.id == ManifestChild.manifest_id)
    .where(
        ManifestChild.repository_id == bindparam("repository"),
        ManifestChild.digest.in_(bindparam("digests", expanding=True)),
    )
)
_LIVING_TAG = (
    select(Tag.name, Tag.lifetime_end_ms)
    .where(
        Tag.manifest_id == bindparam("manifest"),
        alive(bindparam("now")),
    )
    .order_by(Tag.lifetime_end_ms.is_not(None), Tag.lifetime_end_ms.desc(), Tag.name)
    .limit(1)
)
_LAST_END = select(func.max(Tag.lifetime_end_ms)).where(Tag.manifest_id == bindparam("manifest"), Tag.current.is_(None))
_LAPSED = select(func.max(Tag.lifetime_end_ms)).where(Tag.manifest_id == bindparam("manifest"), Tag.current == 1)
_REPOSITORY = select(Repository.name, Repository.deleted_at, Repository.recovery_seconds).where(
    Repository.id == bindparam("repository")
)
_LOCKED_REPOSITORY = _REPOSITORY.with_for_update(read=True, key_share=True)


class Node(NamedTuple):
    """A manifest as the walk sees it; the fields are columns of ``manifest``."""

    id: int
    digest: str
    subject_digest: str
    untagged_pin: bool
    label_pin: bool
    lease_until: int
    last_pulled_at: int | None
    deleted_at: int | None


@dataclass(frozen=True, slots=True)
class Root:
    """Something that keeps a manifest: what it is, until when (milliseconds, or :data:`FOR_EVER`), and by which chain.

    ``path`` leads from the manifest that was asked about, by digest, up to the one that the root holds.
    """

    kind: str
    detail: str
    until: int
    path: Sequence[str]


@dataclass(frozen=True, slots=True)
class Place:
    """A repository, for a walk in it: its name, its recovery window, and when it was deleted (milliseconds)."""

    repository_id: int
    name: str
    window_ms: int
    deleted_at: int | None


def place(connection: Connection, repository_id: int, window_ms: int, *, lock: bool = False) -> Place | None:
    """Return a repository, living or deleted; ``window_ms`` holds where it has no window of its own.

    With ``lock`` it stays deleted, or living, until the transaction ends.
    """
    statement = _LOCKED_REPOSITORY if lock else _REPOSITORY
    row = connection.execute(statement, {"repository": repository_id}).first()
    if row is None:
        return None
    own = row.recovery_seconds
    return Place(repository_id, row.name, window_ms if own is None else own * 1000, row.deleted_at)


class Walk:
    """The walk upwards from one manifest, in the caller's transaction."""

    def __init__(self, connection: Connection, where: Place, now: int) -> None:
        """Walk in the repository ``where``, as things stand at ``now``."""
        self._connection = connection
        self._where = where
        self._now = now
        self._paths: dict[int, tuple[str, ...]] = {}

    @property
    def visited(self) -> Sequence[int]:
        """The row ids of all manifests that keep the one asked about, itself included, that were met so far."""
        return sorted(self._paths)

    def digest(self, manifest_id: int) -> str:
        """Return the digest of a manifest that was visited."""
        return self._paths[manifest_id][-1]

    def until(self, manifest_id: int, *, lock: bool = False) -> int | None:
        """Return when the last root of a manifest ends, or None where it has no row; stops at one without an end.

        With ``lock`` every row on the way is locked first, so that nobody can lease one meanwhile.
        """
        last: int | None = None
        for root in self.roots(manifest_id, lock=lock):
            last = max(last or 0, root.until)
            if last >= FOR_EVER:
                break
        return last

    def roots(self, manifest_id: int, *, lock: bool = False) -> Iterator[Root]:
        """Yield the roots of a manifest, nearest first; one that has no row yields nothing."""
        level = self._nodes([manifest_id], lock=lock)
        for node in level:
            self._paths[node.id] = (node.digest,)
        if level and self._where.deleted_at is not None:
            until = self._where.deleted_at + self._where.window_ms
            yield Root("repository", f"{self._where.name} was deleted", until, self._paths[level[0].id])
            return
        first = True
        while level:
            walked: list[Node] = []
            for node in level:
                yield from self._of(node)
                if node.deleted_at is None:
                    walked.append(node)
                elif first:
                    return
            level = self._above(walked, lock=lock)
            first = False

    def _of(self, node: Node) -> Iterator[Root]:
        path, window = self._paths[node.id], self._where.window_ms
        if node.deleted_at is not None:
            yield Root("deleted", "its recovery window", node.deleted_at + window, path)
            return
        if node.untagged_pin:
            yield Root("untagged", "pushed by digest, and nothing has taken it over", FOR_EVER, path)
        if node.label_pin:
            yield Root("label", "pinned by a label", FOR_EVER, path)
        yield from self._of_tags(node, path)
        yield Root("lease", "a push used it", node.lease_until, path)
        if node.last_pulled_at is not None:
            yield Root("pull", "it was pulled", node.last_pulled_at + window, path)

    def _of_tags(self, node: Node, path: tuple[str, ...]) -> Iterator[Root]:
        of = {"manifest": node.id}
        living = self._connection.execute(_LIVING_TAG, {**of, "now": self._now}).first()
        if living is not None:
            end = FOR_EVER if living.lifetime_end_ms is None else living.lifetime_end_ms + self._where.window_ms
            yield Root("tag", living.name, end, path)
            if end == FOR_EVER:
                return
        ends = [self._connection.scalar(statement, of) for statement in (_LAST_END, _LAPSED)]
        known = [end for end in ends if end is not None]
        if known:
            yield Root("tag ended", "its recovery window", max(known) + self._where.window_ms, path)

    def _above(self, level: Sequence[Node], *, lock: bool) -> Sequence[Node]:
        """Return those not met before that keep a manifest of ``level``: parents, and subjects."""
        found: dict[int, tuple[str, ...]] = {}
        paths = {node.digest: self._paths[node.id] for node in level}
        for digests in batched(sorted(paths), _AT_ONCE):
            values = {"repository": self._where.repository_id, "digests": digests}
            for row in self._connection.execute(_PARENTS, values):
                found.setdefault(row.id, (*paths[row.child], row.digest))
        by_subject = {node.subject_digest: self._paths[node.id] for node in level if node.subject_digest}
        for digests in batched(sorted(by_subject), _AT_ONCE):
            values = {"repository": self._where.repository_id, "digests": digests}
            for subject in self._connection.execute(_SUBJECTS, values):
                found.setdefault(subject.id, (*by_subject[subject.digest], subject.digest))
        fresh = {row_id: path for row_id, path in found.items() if row_id not in self._paths}
        self._paths.update(fresh)
        return self._nodes(sorted(fresh), lock=lock)

    def _nodes(self, ids: Sequence[int], *, lock: bool) -> Sequence[Node]:
        statement = _LOCKED if lock else _BY_ID
        parts = batched(ids, _AT_ONCE)
        return [Node._make(row) for part in parts for row in self._connection.execute(statement, {"ids": part})]
