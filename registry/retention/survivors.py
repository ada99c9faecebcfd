"""Which manifests something still holds once a plan is carried out.

The walk goes up from the manifests asked about: to the tags on them, the indexes they are part of, the subjects
they refer to, and, from a tag that was made for a manifest (a signature), to that manifest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Connection, bindparam, select

from registry.batches import batched
from registry.db.models import Manifest, ManifestChild, Tag
from registry.repositories.current import CURRENT, unended
from registry.repositories.protection import Protection
from registry.repositories.tag_values import Period
from registry.retention.candidates import present, subject_of

_AT_ONCE = 500
_IDS = bindparam("ids", type_=BigInteger(), expanding=True)
_MANIFESTS = select(
    Manifest.id, Manifest.digest, Manifest.subject_digest, Manifest.untagged_pin, Manifest.label_pin
).where(Manifest.id.in_(_IDS), Manifest.deleted_at.is_(None))
_TAGS = CURRENT.where(Tag.manifest_id.in_(_IDS), unended(bindparam("now")))
_PARENTS = select(ManifestChild.digest, ManifestChild.manifest_id).where(
    ManifestChild.repository_id == bindparam("repository"),
    ManifestChild.digest.in_(bindparam("digests", expanding=True)),
)


@dataclass(frozen=True, slots=True)
class Gone:
    """What a plan removes: ids of periods and of manifests."""

    tags: set[int] = field(default_factory=set)
    manifests: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Node:
    """A manifest: whether something holds it before and after the plan, and what it would be held by.

    ``referrers`` are the subjects of tags on it that were made for them, each with whether the plan removes that tag.
    """

    before: bool = False
    after: bool = False
    holders: list[int] = field(default_factory=list)
    referrers: list[tuple[int, bool]] = field(default_factory=list)


class Survivors:
    """Tells what survives a plan in one repository; what was found is kept."""

    def __init__(self, protection: Protection, repository_id: int, now: int, gone: Gone) -> None:
        """Look at the repository as it is, at the time ``now``, without what is ``gone``; protected tags stay."""
        self._protection = protection
        self._repository_id = repository_id
        self._now = now
        self._gone = gone
        self._known: dict[int, tuple[bool, bool]] = {}

    def going(self, connection: Connection, ids: Iterable[int]) -> set[int]:
        """Return those of some manifests that the plan removes, or takes the last hold from."""
        wanted = set(ids)
        self._settle(connection, wanted - self._known.keys())
        return {one for one in wanted if self._known[one] == (True, False) or one in self._gone.manifests}

    def held(self, connection: Connection, ids: Iterable[int]) -> set[int]:
        """Return those of some manifests that something holds after the plan."""
        wanted = set(ids)
        self._settle(connection, wanted - self._known.keys())
        return {one for one in wanted if self._known[one][1]}

    def _settle(self, connection: Connection, frontier: Collection[int]) -> None:
        nodes: dict[int, _Node] = {}
        while frontier:
            above: set[int] = set()
            for ids in batched(sorted(frontier), _AT_ONCE):
                for row_id, node in self._load(connection, ids).items():
                    nodes[row_id] = node
                    if not node.after:
                        above.update(node.holders, (subject for subject, _ in node.referrers))
            frontier = above - nodes.keys() - self._known.keys()
        self._spread(nodes)
        self._known.update((row_id, (node.before, node.after)) for row_id, node in nodes.items())

    def _spread(self, nodes: Mapping[int, _Node]) -> None:
        """Carry what holds down to all that it holds: first as things are, then as the plan leaves them."""
        below: dict[int, list[int]] = defaultdict(list)
        kept_below: dict[int, list[int]] = defaultdict(list)
        for row_id, node in nodes.items():
            for holder in node.holders:
                below[holder].append(row_id)
                kept_below[holder].append(row_id)
            for subject, gone in node.referrers:
                below[subject].append(row_id)
                if not gone:
                    kept_below[subject].append(row_id)
        held = {row_id for row_id, (before, _) in self._known.items() if before and row_id in below}
        for row_id in _reached(below, held | {row_id for row_id, node in nodes.items() if node.before}):
            if row_id in nodes:
                nodes[row_id].before = True
        for node in nodes.values():
            # Nothing but itself holds the subject, so the tag does not wait for it.
            node.after |= any(not gone and not self._before(nodes, subject) for subject, gone in node.referrers)
        held = {row_id for row_id, (_, after) in self._known.items() if after and row_id in kept_below}
        for row_id in _reached(kept_below, held | {row_id for row_id, node in nodes.items() if node.after}):
            if row_id in nodes:
                nodes[row_id].after = True

    def _before(self, nodes: Mapping[int, _Node], row_id: int) -> bool:
        return nodes[row_id].before if row_id in nodes else self._known[row_id][0]

    def _load(self, connection: Connection, ids: Collection[int]) -> Mapping[int, _Node]:
        """Read some manifests and what is right above them; what is deleted is held by nothing."""
        nodes = {row_id: _Node() for row_id in ids}
        rows = connection.execute(_MANIFESTS, {"ids": list(ids)}).all()
        by_digest = {row.digest: row for row in rows}
        by_id = {row.id: row for row in rows}
        for row in rows:
            nodes[row.id].before = row.untagged_pin or row.label_pin
            nodes[row.id].after = row.label_pin or (row.untagged_pin and row.id not in self._gone.manifests)
        values = {"repository": self._repository_id, "digests": list(by_digest)}
        for digest, parent in connection.execute(_PARENTS, values) if rows else ():
            nodes[by_digest[digest].id].holders.append(parent)
        periods = [Period._make(row) for row in connection.execute(_TAGS, {"ids": list(by_id), "now": self._now})]
        reasons = self._protection.reasons(connection, self._now, self._repository_id, periods)
        tags = [
            (period.id, on, "" if protected else subject_of(period.name, period.digest, by_id[on].subject_digest))
            for period, protected in zip(periods, reasons, strict=True)
            if (on := period.manifest_id) is not None
        ]
        named = [row.subject_digest for row in rows] + [subject for _, _, subject in tags]
        there = present(connection, self._repository_id, named)
        for row in rows:
            if row.subject_digest in there:
                nodes[row.id].holders.append(there[row.subject_digest])
        for tag_id, on, subject in tags:
            gone = tag_id in self._gone.tags
            if subject in there:
                nodes[on].referrers.append((there[subject], gone))
            else:
                nodes[on].before = True
                nodes[on].after |= not gone
        return nodes


def _reached(below: Mapping[int, list[int]], start: Iterable[int]) -> Iterator[int]:
    """Yield all that lies below ``start``, itself included."""
    seen = set(start)
    waiting = list(seen)
    while waiting:
        one = waiting.pop()
        yield one
        for next_one in below.get(one, ()):
            if next_one not in seen:
                seen.add(next_one)
                waiting.append(next_one)
