"""What happens too often to be written each time: pulls, logins, tokens, denials; counted, and written together.

Whoever asks waits for none of it. Who guesses or searches makes many entries: of one client, and of all, so many are
kept in a few seconds, and the rest of them is one entry with a count.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, insert

from registry.access.actors import Actor
from registry.access.throttle import source_of
from registry.audit.entries import MOST_AGENT, MOST_TEXT, bounded
from registry.batches import batched
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AuditEntry
from registry.errors import RegistryError

PULL, LOGIN, TOKEN, DENIED_KIND, PAGE = "pull", "login", "token", "denied", "plugin.page"
"""The kinds that are noted here."""
OTHERS = '{"others":true}'
"""The detail of an entry that stands for many different ones."""
MOST, MOST_OF_SOURCE = 10_000, 100
_EVERY_SECONDS = 2.0
_AT_ONCE = 500
_LONGEST = 1024
_log = logging.getLogger(__name__)


class Note(NamedTuple):
    """What is counted together."""

    kind: str
    outcome: str
    principal: str
    address: str
    repository: str
    reference: str
    action: str
    rule: str
    detail: str


@dataclass(slots=True)
class _Seen:
    """How often, when first (milliseconds), and with what that time."""

    count: int
    time_ms: int
    user_agent: str
    request_id: str


class Notes:
    """Notes of one process."""

    def __init__(self, database: Database, clock_ms: Callable[[], int]) -> None:
        """Write to ``database``."""
        self._database = database
        self._clock_ms = clock_ms
        self._turn, self._hurry = threading.Lock(), threading.Event()
        self._noted: dict[Note, _Seen] = {}
        self._sources: dict[str, int] = {}
        self._fails = False

    def note(
        self,
        actor: Actor,
        kind: str,
        outcome: str,
        *,
        principal: str | None = None,
        repository: str = "",
        reference: str = "",
        action: str = "",
        rule: str = "",
        detail: str = "{}",
    ) -> None:
        """Note that something happened just now; costs no query. ``principal`` stands for the actor's."""
        name = actor.principal if principal is None else principal
        about = reference[:MOST_TEXT]  # a path may be long, and many are kept until they are written
        note = Note(kind, outcome, name, actor.address, repository, about, action, rule, detail)
        with self._turn:
            seen = self._noted.get(note)
            if seen is None:
                seen = self._first(note, actor)
            seen.count += 1

    def start(self) -> None:
        """Write every few seconds from now on, in a thread of this process; what a parent noted is the parent's."""
        self._turn, self._hurry = threading.Lock(), threading.Event()
        self._noted, self._sources = {}, {}
        arguments = (weakref.ref(self), self._hurry)
        threading.Thread(target=_keep_flushing, args=arguments, name="audit-notes", daemon=True).start()

    def flush(self) -> None:
        """Write what was noted; what cannot be written now waits for the next time."""
        with self._turn:
            noted, self._noted, self._sources = list(self._noted.items()), {}, {}
        done = 0
        try:
            for some in batched(noted, _AT_ONCE):
                self._database.write(partial(_write, some=some), durable=False)
                done += len(some)
        except RegistryError as error:
            self._keep(noted[done:])
            if not self._fails:
                _log.warning("the audit log cannot be written now, %d entries wait: %s", len(noted), error.message)
            self._fails = True
        else:
            self._fails = False

    def _first(self, note: Note, actor: Actor) -> _Seen:
        """Return where a note is counted that is new: by itself or, once there are too many, with others."""
        kept = self._place(note)
        seen = self._noted.get(kept)
        if seen is None:
            agent, request = (actor.user_agent[:_LONGEST], actor.request_id) if kept is note else ("", "")
            seen = self._noted[kept] = _Seen(0, self._clock_ms(), agent, request)
        return seen

    def _place(self, note: Note) -> Note:
        if len(self._noted) >= MOST // 2:
            self._hurry.set()
        if len(self._noted) >= MOST:
            return Note(note.kind, note.outcome, "", "", "", "", "", "", OTHERS)
        if note.kind == PULL:  # of what is there, by who may: nobody makes these up
            return note
        source = source_of(note.address)
        count = self._sources[source] = self._sources.get(source, 0) + 1
        return note if count <= MOST_OF_SOURCE else Note(note.kind, note.outcome, "", source, "", "", "", "", OTHERS)

    def _keep(self, waiting: Sequence[tuple[Note, _Seen]]) -> None:
        """Put back what was not written, as far as there is room."""
        with self._turn:
            for note, seen in waiting:
                others = Note(note.kind, note.outcome, "", "", "", "", "", "", OTHERS)
                place = note if note in self._noted or len(self._noted) < MOST else others
                now = self._noted.setdefault(place, _Seen(0, seen.time_ms, seen.user_agent, seen.request_id))
                now.count += seen.count
                now.time_ms = min(now.time_ms, seen.time_ms)


def _write(connection: Connection, some: Sequence[tuple[Note, _Seen]]) -> None:
    rows = [
        {
            **{name: bounded(value) for name, value in note._asdict().items() if name != "detail"},
            "detail": note.detail,
            "time_ms": seen.time_ms,
            "user_agent": bounded(seen.user_agent, MOST_AGENT),
            "request_id": seen.request_id,
            "count": seen.count,
        }
        for note, seen in some
    ]
    connection.execute(insert(table(AuditEntry)), rows)


def _keep_flushing(owner: weakref.ref[Notes], hurry: threading.Event) -> None:
    while True:
        hurry.wait(_EVERY_SECONDS)
        hurry.clear()
        notes = owner()
        if notes is None:
            return
        notes.flush()
        del notes
