"""Events: read in pages or as they come, told again, and dead letters."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import msgspec
from flask import Blueprint, request

from registry.access.actors import Actor
from registry.blueprints._http import accepted, repository, services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import STREAM, Stream, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import Time, milliseconds, moment
from registry.errors import (
    ConsumerUnknown,
    InputInvalid,
    LetterUnknown,
    NameInvalid,
    PaginationInvalid,
    RegistryError,
)
from registry.events import service
from registry.events.log import EventFilter, LoggedEvent

blueprint = Blueprint("api_events", __name__, url_prefix=PREFIX)
_HEARTBEAT_SECONDS = 15.0
_RETRY = b"retry: 2000\n\n"
_MAX_TYPES = 32
Position = Annotated[int, msgspec.Meta(ge=0)]


class CloudEvent(msgspec.Struct, omit_defaults=True):
    """An event (CloudEvents 1.0, JSON format): ``sequence`` is its position in the log, in 16 digits."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    datacontenttype: str
    sequence: str
    data: dict[str, Any]
    subject: str = ""
    repository: str = ""
    actor: str = ""


class EventsQuery(PageQuery):
    """Which events: ``after`` a position (0: from the oldest), of a repository, of types, since a time.

    ``type`` is one or more, with commas between; one that ends in a dot stands for all that begin with it. A stream
    without ``after``, ``since`` and ``Last-Event-ID`` begins at the present.
    """

    position: Position | None = msgspec.field(default=None, name="after")
    repository: str | None = None
    type: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    since: Time | None = None


class Consumer(msgspec.Struct):
    """Somebody who hears of events: how far, how many are yet to be told, and how many repositories and letters wait.

    ``waiting`` are repositories of which an event was not taken yet; ``dead`` are events that were given up.
    """

    name: str
    position: int
    behind: int
    waiting: int
    dead: int


class Consumers(msgspec.Struct):
    """All consumers."""

    items: list[Consumer]


class Replay(Body):
    """Who is to be told again, and from where: behind a position, or since a time."""

    consumer: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    after: Position | None = None
    since: Time | None = None


class Replaying(msgspec.Struct):
    """A consumer that was sent back to ``position``."""

    consumer: str
    position: int


class LettersQuery(PageQuery):
    """Whose dead letters."""

    consumer: str | None = None


class Letter(msgspec.Struct):
    """An event that a consumer did not take; ``event`` is null once it was forgotten."""

    id: int
    consumer: str
    position: int
    attempts: int
    first: datetime
    died: datetime
    error: str
    event: CloudEvent | None


@operation(blueprint, "GET", "/events", errors=(NameInvalid, PaginationInvalid))
def list_events(actor: Actor, query: EventsQuery) -> PageOf[CloudEvent] | Stream:
    """List events in their order, oldest first; with `Accept: text/event-stream`, go on as they come."""
    wanted = _wanted(query)
    if request.method == "GET" and STREAM in accepted(request.headers.get("Accept")).media_types:
        return Stream(_stream(actor, query, wanted))
    (after,) = query.after(query.position or 0)
    page = services().events.list(actor, int(after), query.size, wanted)
    return page_of(page, _shown, lambda event: (event.position,))


@operation(blueprint, "GET", "/events/consumers")
def list_consumers(actor: Actor) -> Consumers:
    """List who hears of events, and how far each is."""
    return Consumers(
        [
            Consumer(one.name, one.position, one.behind, one.waiting, one.dead)
            for one in services().events.consumers(actor)
        ]
    )


@operation(blueprint, "POST", "/events/replay", status=202, errors=(ConsumerUnknown,))
def replay_events(actor: Actor, wanted: Replay) -> Replaying:
    """Tell a consumer once more what it was told, from a position or a time on."""
    since = None if wanted.since is None else milliseconds(wanted.since)
    position = services().events.replay(actor, wanted.consumer, after=wanted.after, since_ms=since)
    return Replaying(wanted.consumer, position)


@operation(blueprint, "GET", "/events/dead", errors=(PaginationInvalid,))
def list_letters(actor: Actor, query: LettersQuery) -> PageOf[Letter]:
    """List dead letters, oldest first."""
    (last,) = query.after(0)
    page = services().events.letters(actor, query.consumer, query.size, int(last))
    return page_of(page, _letter, lambda letter: (letter.id,))


@operation(blueprint, "POST", "/events/dead/{letter}/redeliver", errors=(LetterUnknown,))
def redeliver_letter(actor: Actor, letter: int) -> None:
    """Tell a consumer of a dead letter's event again, by itself."""
    services().events.redeliver(actor, letter)


@operation(blueprint, "DELETE", "/events/dead/{letter}", errors=(LetterUnknown,))
def drop_letter(actor: Actor, letter: int) -> None:
    """Forget a dead letter."""
    services().events.drop(actor, letter)


def _wanted(query: EventsQuery) -> EventFilter:
    types = tuple(part for part in (query.type or "").split(",") if part)
    if len(types) > _MAX_TYPES:
        raise InputInvalid("so many types cannot be asked for at once", detail={"limit": _MAX_TYPES})
    name = None if query.repository is None else repository(query.repository).value
    return EventFilter(name, types, None if query.since is None else milliseconds(query.since))


def _stream(actor: Actor, query: EventsQuery, wanted: EventFilter) -> Iterator[bytes]:
    """Begin to follow while the request is at hand: the pieces are made after it."""
    found = services()
    found.events.require(actor, wanted)
    header = request.headers.get("Last-Event-ID")
    if header is not None and not (header.isascii() and header.isdigit() and len(header) <= 18):  # noqa: PLR2004 - digits of 64 bits
        raise InputInvalid("Last-Event-ID is the position of an event", detail={"lastEventId": header[:64]})
    after = int(header) if header is not None else query.position
    if after is None:
        after = found.events.newest() if query.since is None else 0
    stopping = request.environ.get("moorage.stopping", bool)
    batches = found.tail.follow(after, wanted, stopping)
    actor = replace(actor, revision=0)  # what it is known by may end while it follows
    return _pieces(_seen(found.events, actor, wanted, batches), found.external_url)


def _seen(
    events: service.EventService, actor: Actor, wanted: EventFilter, batches: Iterator[Sequence[LoggedEvent]]
) -> Iterator[Sequence[LoggedEvent]]:
    """Leave out what the actor may not see, and end once it may not follow any more."""
    for batch in batches:
        try:
            events.require(actor, wanted)
            shown = events.seen(actor, batch)
        except RegistryError:
            return
        yield shown


def _pieces(batches: Iterator[Sequence[LoggedEvent]], base: str) -> Iterator[bytes]:
    yield _RETRY
    sent = time.monotonic()
    for batch in batches:
        if batch:
            yield b"".join(_piece(event, base) for event in batch)
        elif time.monotonic() - sent < _HEARTBEAT_SECONDS:
            continue
        else:
            yield b":\n\n"
        sent = time.monotonic()


def _piece(event: LoggedEvent, base: str) -> bytes:
    data = msgspec.json.encode(event.as_cloudevent(base))
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.position, event.type.encode(), data)


def _shown(event: LoggedEvent) -> CloudEvent:
    return msgspec.convert(event.as_cloudevent(services().external_url), CloudEvent)


def _letter(found: service.Letter) -> Letter:
    event = None if found.event is None else _shown(found.event)
    return Letter(
        found.id,
        found.consumer,
        found.position,
        found.attempts,
        moment(found.first_ms),
        moment(found.dead_ms),
        found.error,
        event,
    )
