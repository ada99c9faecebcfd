"""Collection: what waits for it, what it would free, why something is kept; and purges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import repository, services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body, Query
from registry.blueprints.api._operations import operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import maybe_moment, moment
from registry.collection import explain, purge
from registry.collection.roots import FOR_EVER
from registry.digest import Digest
from registry.errors import BlobUnknown, DigestInvalid, InputInvalid, ManifestUnknown, NameInvalid, NameUnknown
from registry.names import TagName, parse_reference

blueprint = Blueprint("api_collection", __name__, url_prefix=PREFIX)
_MOST = 10_000


class Queue(msgspec.Struct):
    """What waits to be looked at, of one kind: how much, how much of it is due, and when the next is."""

    kind: str
    waiting: int
    due: int
    next: datetime


class CollectionStatus(msgspec.Struct):
    """How collection stands; ``attempts`` is how often the most stubborn deletion of bytes has failed."""

    queue: list[Queue]
    deletions: int
    bytes_to_free: int
    attempts: int


class Freed(msgspec.Struct):
    """What goes or went."""

    manifests: int
    memberships: int
    blobs: int
    bytes: int
    uploads: int
    repositories: int


class Removed(msgspec.Struct):
    """One thing that would go; ``bytes`` are those that nothing else needs."""

    kind: str
    name: str
    bytes: int


class PreviewQuery(Query):
    """How many reviews to look at."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=_MOST)] = 1000


class Preview(msgspec.Struct):
    """What a collection would free now; ``more`` where more is due than was looked at."""

    looked_at: int
    more: bool
    freed: Freed
    removed: list[Removed]


class Root(msgspec.Struct):
    """What keeps something: ``path`` leads by digests to the manifest that it holds; ``until`` null: for ever."""

    kind: str
    detail: str
    until: datetime | None
    path: Sequence[str]


class Explanation(msgspec.Struct):
    """What holds in one repository; ``goes`` is when collection takes it (null: not as things stand)."""

    repository: str
    kind: str
    goes: datetime | None
    roots: list[Root]


class Explained(msgspec.Struct):
    """Why a digest is kept. ``state`` is LIVE, DAMAGED or DELETING; ``purged`` is the reason of a purge."""

    digest: str
    state: str
    purged: str | None
    places: list[Explanation]


class ExplainQuery(Query):
    """A tag or digest of a repository, or a digest alone."""

    reference: str
    repository: str | None = None


class NewPurge(Body):
    """A digest that must go and not come back, and why."""

    digest: str
    reason: str


class Purge(msgspec.Struct):
    """A purge on record."""

    digest: str
    reason: str
    actor: str
    purged: datetime


class PurgeDone(msgspec.Struct):
    """What a purge took away, and from which repositories.

    ``bytes_left``: nobody can read them any more, but the store did not remove them yet; a worker tries again.
    """

    purge: Purge
    freed: Freed
    repositories: Sequence[str]
    bytes_left: int


@operation(blueprint, "GET", "/collection")
def collection_status(actor: Actor) -> CollectionStatus:
    """Tell what waits for collection, and what is about to be freed."""
    found = services().collection.status(actor)
    queue = [Queue(one.kind, one.waiting, one.due, moment(one.next_ms)) for one in found.queue]
    return CollectionStatus(queue, found.deletions, found.bytes_to_free, found.attempts)


@operation(blueprint, "GET", "/collection/preview")
def preview_collection(actor: Actor, query: PreviewQuery) -> Preview:
    """Tell what a collection would free now; nothing is changed."""
    found = services().collection.preview(actor, query.limit)
    removed = [Removed(one.kind, one.name, one.bytes) for one in found.removed]
    return Preview(found.looked_at, found.more, Freed(**asdict(found.freed)), removed)


@operation(
    blueprint,
    "GET",
    "/collection/explain",
    errors=(NameInvalid, NameUnknown, DigestInvalid, ManifestUnknown, BlobUnknown),
)
def explain_content(actor: Actor, query: ExplainQuery) -> Explained:
    """Tell why something is kept, by which chain, or when it will go."""
    where = None if query.repository is None else repository(query.repository)
    what = parse_reference(query.reference)
    if isinstance(what, TagName):
        if where is None:
            raise InputInvalid("a tag needs its repository", detail={"reference": query.reference})
        return _explained(services().explainer.explain_tag(actor, where, what))
    return _explained(services().explainer.explain(actor, what, where))


@operation(blueprint, "POST", "/purges", status=201, errors=(DigestInvalid,))
def purge_digest(actor: Actor, wanted: NewPurge) -> PurgeDone:
    """Remove a blob or manifest everywhere at once, whatever keeps it, and refuse its return."""
    done = services().purges.purge(actor, Digest.parse(wanted.digest), wanted.reason)
    return PurgeDone(_purge(done.purge), Freed(**asdict(done.freed)), done.repositories, done.bytes_left)


@operation(blueprint, "GET", "/purges")
def list_purges(actor: Actor, query: PageQuery) -> PageOf[Purge]:
    """List all purges by their digests."""
    (last,) = query.after("")
    return page_of(services().purges.list(actor, query.size, str(last)), _purge, lambda one: (one.digest,))


@operation(blueprint, "DELETE", "/purges/{digest}", errors=(DigestInvalid, BlobUnknown))
def allow_purged(actor: Actor, digest: Digest) -> None:
    """Let a purged digest come back."""
    services().purges.allow(actor, digest)


def _purge(found: purge.Purge) -> Purge:
    return Purge(found.digest, found.reason, found.actor, moment(found.purged_ms))


def _explained(found: explain.Explained) -> Explained:
    return Explained(
        found.digest,
        found.state,
        found.purged,
        [
            Explanation(
                one.repository,
                one.kind,
                maybe_moment(one.goes),
                [
                    Root(root.kind, root.detail, None if root.until >= FOR_EVER else moment(root.until), root.path)
                    for root in one.roots
                ],
            )
            for one in found.places
        ],
    )
