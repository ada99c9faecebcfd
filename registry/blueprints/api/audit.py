"""The audit log: who did what, from where, by which rule."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.audit.log import BEFORE_ALL, BEHIND_ALL, AuditFilter
from registry.audit.records import Record
from registry.blueprints._http import repository, services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._operations import operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import Time, milliseconds
from registry.errors import InputInvalid, NameInvalid, PaginationInvalid

blueprint = Blueprint("api_audit", __name__, url_prefix=PREFIX)
_MOST_KINDS = 32
_Text = Annotated[str, msgspec.Meta(max_length=255)]


class AuditRecord(msgspec.Struct):
    """What somebody did, or may not do. ``count`` is how often, within seconds, it happened just so.

    ``action`` is what the policy was asked, about ``repository`` (empty: the registry as a whole) and ``reference``;
    ``rule`` is the one that decided. ``request_id`` is the request's in the access log. ``hash`` is the SHA-256 of the
    record without it, written as RFC 8785 says; ``previous`` is that of the record before.
    """

    position: int
    time: str
    kind: str
    outcome: str
    principal: str
    address: str
    user_agent: str
    repository: str
    reference: str
    action: str
    rule: str
    request_id: str
    count: int
    detail: dict[str, Any]
    previous: str
    hash: str


class AuditQuery(PageQuery):
    """Which records. ``kind`` is one or more, with commas between; one that ends in a dot stands for all that begin so.

    With ``order=oldest`` the oldest come first.
    """

    principal: _Text | None = None
    address: _Text | None = None
    kind: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    outcome: Literal["allowed", "denied"] | None = None
    repository: str | None = None
    since: Time | None = None
    until: Time | None = None
    order: Literal["newest", "oldest"] = "newest"


class AuditHead(msgspec.Struct):
    """The last record. Who keeps it elsewhere can tell later whether all up to it is as it was.

    ``waiting`` entries are not sealed yet: a worker does so within seconds.
    """

    position: int
    hash: str
    waiting: int


@operation(blueprint, "GET", "/audit", errors=(NameInvalid, PaginationInvalid))
def list_audit(actor: Actor, query: AuditQuery) -> PageOf[AuditRecord]:
    """List records of the audit log; those of a repository are for who administers it, all for administrators."""
    oldest = query.order == "oldest"
    (key,) = query.after(BEFORE_ALL if oldest else BEHIND_ALL)
    page = services().audit.list(actor, _wanted(query), query.size, int(key), oldest=oldest)
    return page_of(page, _shown, lambda record: (record.position,))


@operation(blueprint, "GET", "/audit/head")
def show_audit_head(actor: Actor) -> AuditHead:
    """Show the last record's position and hash."""
    end = services().audit.end(actor)
    return AuditHead(end.head.position, end.head.hash, end.waiting)


def _wanted(query: AuditQuery) -> AuditFilter:
    kinds = tuple(part for part in (query.kind or "").split(",") if part)
    if len(kinds) > _MOST_KINDS:
        raise InputInvalid("so many kinds cannot be asked for at once", detail={"limit": _MOST_KINDS})
    return AuditFilter(
        query.principal,
        query.address,
        kinds,
        query.outcome,
        None if query.repository is None else repository(query.repository),
        None if query.since is None else milliseconds(query.since),
        None if query.until is None else milliseconds(query.until),
    )


def _shown(record: Record) -> AuditRecord:
    return AuditRecord(**record.as_json())
