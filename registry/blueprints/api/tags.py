"""Tags: as they are, as they were, and what can be changed of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body, Query
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import Time, maybe_moment, milliseconds, moment
from registry.digest import Digest
from registry.errors import (
    Denied,
    DigestInvalid,
    ExpiryInvalid,
    InputInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    NotRestorable,
    PaginationInvalid,
    TagImmutable,
    TagInvalid,
)
from registry.manifests.tagging import TagEnd, TagWish
from registry.names import RepositoryName, TagName
from registry.repositories.history import HistoryFilter, TagPeriod
from registry.revisions import Condition

blueprint = Blueprint("api_tags", __name__, url_prefix=PREFIX)
_TAGS = "/repositories/{name}/-/tags"
_LIST_ERRORS = (NameInvalid, NameUnknown, PaginationInvalid)
_ERRORS = (NameInvalid, NameUnknown, TagInvalid, ManifestUnknown)


class Tag(msgspec.Struct, kw_only=True):
    """A period of a tag: what it stood for, from when to when.

    ``ended`` is why it is over (null while it is not). ``immutable`` was set here, ``immutable_by_label`` by a label;
    ``immutable_by_rule`` names the rule that makes a living tag so. ``expires_by`` is who set its end.
    ``restorable`` while the repository has its manifest.
    """

    name: str
    digest: str
    since: datetime
    until: datetime | None
    ended: str | None
    expires_by: str | None
    immutable: bool
    immutable_by_label: bool
    immutable_by_rule: str | None
    restored: bool
    restorable: bool
    media_type: str | None
    size: int | None
    actor: str


class TagsQuery(PageQuery):
    """As the tags were at a time; without it, as they are."""

    as_of: Time | None = None


class OneTagQuery(Query):
    """As the tag was at a time; without it, as it is."""

    as_of: Time | None = None


class HistoryQuery(PageQuery):
    """Which periods: those that started between two times, of a tag, or of all whose names start so (``v1.*``)."""

    tag: str | None = None
    since: Time | None = None
    until: Time | None = None


class TagTarget(Body):
    """The manifest of the repository that a tag is to stand for."""

    digest: str


class TagChange(Body):
    """What to change; what is not given stays. ``expires`` null: never."""

    expires: Time | msgspec.UnsetType | None = msgspec.UNSET
    immutable: bool | msgspec.UnsetType = msgspec.UNSET


class TagRestore(Body):
    """What a tag stood for: at a time, or a digest; with neither, before its last change."""

    as_of: Time | None = None
    digest: str | None = None


@operation(blueprint, "GET", _TAGS, errors=_LIST_ERRORS)
def list_tags(actor: Actor, name: RepositoryName, query: TagsQuery) -> PageOf[Tag]:
    """List a repository's tags by name, as they are or as they were at a time."""
    history, (last,) = services().history, query.after("")
    if query.as_of is None:
        page = history.list(actor, name, query.size, str(last))
    else:
        page = history.as_of(actor, name, milliseconds(query.as_of), query.size, str(last))
    return page_of(page, _shower(), lambda row: (row.name,))


@operation(blueprint, "GET", _TAGS + "/{tag}", errors=_ERRORS)
def show_tag(actor: Actor, name: RepositoryName, tag: TagName, query: OneTagQuery) -> Reply[Tag]:
    """Show a tag, as it is or as it was at a time."""
    history = services().history
    if query.as_of is None:
        row = history.describe(actor, name, tag)
        return Reply(_shown(row, services().now()), etag=row.revision)
    return Reply(_shown(history.describe_as_of(actor, name, tag, milliseconds(query.as_of)), services().now()))


@operation(blueprint, "GET", "/repositories/{name}/-/history", errors=(*_LIST_ERRORS, TagInvalid))
def list_history(actor: Actor, name: RepositoryName, query: HistoryQuery) -> PageOf[Tag]:
    """List what tags stood for, the period that started last first."""
    given, named = HistoryFilter(), "*" if query.tag is None else query.tag
    wanted = HistoryFilter(
        None if named.endswith("*") else TagName.parse(named),
        given.since_ms if query.since is None else milliseconds(query.since),
        given.until_ms if query.until is None else milliseconds(query.until),
        TagName.parse(named[:-1]).value if named.endswith("*") and named != "*" else "",
    )
    start, row_id = query.after(0, 0)
    before = (int(start), int(row_id)) if query.cursor else None
    page = services().history.history(actor, name, wanted, query.size, before)
    return page_of(page, _shower(), lambda row: (row.start_ms, row.id))


@operation(blueprint, "PUT", _TAGS + "/{tag}", errors=(*_ERRORS, Denied, DigestInvalid, NotRestorable, TagImmutable))
def move_tag(actor: Actor, name: RepositoryName, tag: TagName, wanted: TagTarget, condition: Condition) -> Reply[Tag]:
    """Make a tag, new or not, stand for a manifest of the repository."""
    row = services().changes.move(actor, name, tag, Digest.parse(wanted.digest), condition)
    return Reply(_shown(row, services().now()), etag=row.revision)


@operation(blueprint, "PATCH", _TAGS + "/{tag}", errors=(*_ERRORS, TagImmutable, ExpiryInvalid))
def change_tag(actor: Actor, name: RepositoryName, tag: TagName, wanted: TagChange, condition: Condition) -> Reply[Tag]:
    """Give a tag an end or none, and make it immutable or not, in one step; what the API sets, labels leave alone."""
    ends = None
    if wanted.expires is not msgspec.UNSET:
        ends = TagEnd(None if wanted.expires is None else milliseconds(wanted.expires))
    immutable = None if wanted.immutable is msgspec.UNSET else wanted.immutable
    row = services().changes.change(actor, name, tag, TagWish(ends, immutable), condition)
    return Reply(_shown(row, services().now()), etag=row.revision)


@operation(blueprint, "DELETE", _TAGS + "/{tag}", errors=(*_ERRORS, TagImmutable))
def delete_tag(actor: Actor, name: RepositoryName, tag: TagName, condition: Condition) -> None:
    """End a tag's life; its manifest stays restorable for the recovery window, and other tags stay."""
    services().tags.delete(actor, name, tag, condition)


@operation(
    blueprint,
    "POST",
    _TAGS + "/{tag}/restore",
    errors=(*_ERRORS, Denied, DigestInvalid, NotRestorable, TagImmutable),
)
def restore_tag(
    actor: Actor, name: RepositoryName, tag: TagName, wanted: TagRestore, condition: Condition
) -> Reply[Tag]:
    """Put a tag back to what it stood for; a deleted manifest comes back with it."""
    if wanted.as_of is not None and wanted.digest is not None:
        raise InputInvalid("give as_of or digest, not both", detail={"digest": wanted.digest[:256]})
    row = services().changes.restore(
        actor,
        name,
        tag,
        digest=None if wanted.digest is None else Digest.parse(wanted.digest),
        time_ms=None if wanted.as_of is None else milliseconds(wanted.as_of),
        condition=condition,
    )
    return Reply(_shown(row, services().now()), etag=row.revision)


def _shower() -> Callable[[TagPeriod], Tag]:
    now = services().now()
    return lambda row: _shown(row, now)


def _shown(row: TagPeriod, now: int) -> Tag:
    """Return a period as the API shows it."""
    return Tag(
        name=row.name,
        digest=row.digest,
        since=moment(row.start_ms),
        until=maybe_moment(row.end_ms),
        ended=row.reason(now),
        expires_by=row.expiry_source if row.end_ms is not None else None,
        immutable=bool(row.immutable),
        immutable_by_label=bool(row.label_immutable),
        immutable_by_rule=row.rule,
        restored=bool(row.reversion),
        restorable=row.restorable,
        media_type=row.media_type,
        size=row.size,
        actor=row.actor,
    )
