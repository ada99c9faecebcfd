"""The switch that makes the whole registry read-only, while it runs.

It is a row that every process follows (:mod:`registry.db.gate`); nothing but the switch, what guards a backup, and a
restore is written while it is on. Its events get their positions in the switch's own transaction, so that they can be
read at once, though nobody is told of them before it is off.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import Connection, Row, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import ReadOnlySwitch
from registry.errors import RequestInvalid, Unavailable
from registry.events.log import PLACED_AT_ONCE, EventLog
from registry.events.outbox import Outbox
from registry.events.types import REGISTRY_CLOSED, REGISTRY_OPENED

_log = logging.getLogger(__name__)
_SWITCH = table(ReadOnlySwitch)
_FIND = select(_SWITCH)
_LOCK = _FIND.with_for_update()
_ROW = 1
_LONG_MS = 60_000
MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class ReadOnlyState:
    """How the switch stands: why, who switched it last, and since when it is as it is (milliseconds; None: always).

    ``settled`` once it is on and nothing is written any more, by any process.
    """

    on: bool
    reason: str
    actor: str
    since_ms: int | None
    settled: bool


class ReadOnlyService:
    """Makes the registry read-only, and ends that."""

    def __init__(self, database: Database, authorizer: Authorizer, outbox: Outbox, log: EventLog) -> None:
        """Keep the switch in ``database``, and tell of it by ``outbox`` and ``log``."""
        self._database = database
        self._authorizer = authorizer
        self._outbox = outbox
        self._events = log

    def state(self, actor: Actor) -> ReadOnlyState:
        """Return how the switch stands now."""
        self._authorizer.require(actor, Action.ADMIN, None)
        with self._database.read() as connection:
            row = connection.execute(_FIND).first()
            now = self._database.now(connection)
        self._database.gate.look()
        if row is None:
            return ReadOnlyState(on=False, reason="", actor="", since_ms=None, settled=False)
        return ReadOnlyState(
            bool(row.is_on), row.reason, row.actor, row.since_ms, settled=self._settled(now - row.since_ms)
        )

    def switch_on(self, actor: Actor, reason: str) -> ReadOnlyState:
        """Have nobody write any more; where that is so already, for another reason. Raises :class:`RequestInvalid`."""
        self._authorizer.require(actor, Action.ADMIN, None)
        reason = reason.strip()
        if not reason or len(reason) > MAX_REASON or not reason.isprintable():
            raise RequestInvalid(
                f"say why, in 1 to {MAX_REASON} characters on one line", detail={"reason": reason[:64]}
            )
        self._switch(actor, reason, on=True)
        return self.state(actor)

    def switch_off(self, actor: Actor) -> ReadOnlyState:
        """Take writes again."""
        self._authorizer.require(actor, Action.ADMIN, None)
        self._switch(actor, "", on=False)
        return self.state(actor)

    def _switch(self, actor: Actor, reason: str, *, on: bool) -> None:
        def work(connection: Connection) -> None:
            before = connection.execute(_LOCK).first()
            if _is_on(before) is on and (before is None or before.reason == reason):
                return
            now = self._database.now(connection)
            since = before.since_ms if before is not None and _is_on(before) is on else now
            values = {
                "is_on": on,
                "reason": reason,
                "actor": actor.principal,
                "since_ms": since,
                "revision": 1 if before is None else before.revision + 1,
            }
            insert = self._database.insert(ReadOnlySwitch).values(id=_ROW, **values)
            connection.execute(insert.on_conflict_do_update(index_elements=[_SWITCH.c.id], set_=values))
            kind = REGISTRY_CLOSED if on else REGISTRY_OPENED
            self._outbox.record(connection, now, kind, None, "", actor, {"reason": reason} if on else {})
            while self._events.place(connection) == PLACED_AT_ONCE:
                pass

        self._database.write(work, always=True)

    def _settled(self, for_ms: int) -> bool:
        """Tell whether nobody writes; a process that has just started cannot tell but by the time of the switch."""
        gate = self._database.gate
        followed = gate.followed() or (gate.closed() is not None and for_ms > _LONG_MS)
        try:
            return followed and self._database.nobody_writes()
        except Unavailable as error:  # somebody has been writing for long
            _log.warning("it is not known yet whether nobody writes any more: %s", error.message)
            return False


def _is_on(row: Row[tuple[object, ...]] | None) -> bool:
    return row is not None and bool(row.is_on)
