"""The dispatcher: gives events their order, and tells observers, in a worker beside the requests.

One worker at a time holds the lease. An idle registry is looked at ten times a second by one small read, and nothing
is written. Each consumer is told in a thread of its own turn: a slow one keeps no other waiting.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy import Connection, bindparam, delete, select

from registry.audit.sealing import Sealer
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import EventConsumer, EventDelivery
from registry.errors import RegistryError
from registry.events.deliveries import Deliveries, Round
from registry.events.lease import Lease, LeaseLost
from registry.events.log import NOBODY, PLACED_AT_ONCE, EventLog
from registry.events.observers import Observers
from registry.events.retries import RetryTerms

LEASE = "dispatch"
"""The row of the table of jobs that says which worker dispatches."""
_LEASE_SECONDS = 10.0
_POLL_SECONDS = 0.1
_LOOK_SECONDS = 1.0
_PLACE_SECONDS = 0.5
"""Positions are given no oftener: on SQLite pushes wait for that commit to reach the disk."""
_SEAL_SECONDS = 1.0
_THREADS = 16
_REST_SECONDS, _LONGEST_REST = 1.0, 60.0
_LONGEST_PAUSE, _DOUBLINGS = 30.0, 16
_CONSUMER, _DELIVERY = table(EventConsumer), table(EventDelivery)
_CONSUMERS = select(_CONSUMER.c.name, _CONSUMER.c.position).where(_CONSUMER.c.name != NOBODY)
_DUE = (
    select(_DELIVERY.c.consumer).where(_DELIVERY.c.dead_ms.is_(None), _DELIVERY.c.due_ms <= bindparam("now")).distinct()
)
_FORGET = [
    delete(_DELIVERY).where(_DELIVERY.c.consumer == bindparam("b_consumer")),
    delete(_CONSUMER).where(_CONSUMER.c.name == bindparam("b_consumer")),
]
_log = logging.getLogger(__name__)


class Dispatcher:
    """Dispatches for one worker, in threads that :meth:`run` starts and ends."""

    def __init__(
        self,
        database: Database,
        log: EventLog,
        observers: Observers,
        holder: str,
        terms: RetryTerms,
        sealer: Sealer,
    ) -> None:
        """Tell ``observers`` as ``holder``, and let ``sealer`` keep who did what."""
        self._database = database
        self._log = log
        self._observers = observers
        self._sealer = sealer
        self._lease = Lease(database, LEASE, holder, _LEASE_SECONDS)
        self._deliveries = Deliveries(database, log, self._lease, observers.tell, terms)
        self._stop = threading.Event()
        self._telling: dict[str, Future[Round]] = {}
        self._resting: dict[str, tuple[float, float]] = {}
        self._next_look = self._next_place = self._next_seal = 0.0

    def stop(self) -> None:
        """End soon: what is being told is told to its end."""
        self._stop.set()

    def run(self) -> None:
        """Dispatch until :meth:`stop`."""
        failures = 0
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="events") as pool:
            while not self._stop.is_set():
                busy = False
                try:
                    busy = self._turn(pool)
                    failures = 0
                except (RegistryError, LeaseLost) as error:
                    failures += 1
                    _log.warning("events cannot be dispatched now: %s", error)
                except Exception:  # noqa: BLE001 - a failure of one turn must not end all others
                    failures += 1
                    _log.exception("events cannot be dispatched now")
                if not busy:
                    self._stop.wait(_pause(failures))
        try:
            self._lease.release()
        except RegistryError as error:
            _log.warning("the lease of the dispatcher ends by itself: %s", error.message)

    def run_due(self) -> int:
        """Tell all that is to be told now, one consumer after another; returns how many events were told."""
        told = 0
        if not self._lease.take():
            return 0
        self._enrol()
        while self._place():
            pass
        while self._seal():
            pass
        for consumer in self._pending():
            told += self._deliveries.run(consumer, self._stop.is_set).told
        self._lease.release()
        return told

    def _turn(self, pool: ThreadPoolExecutor) -> bool:
        """Look once for what there is to do; returns whether to look again at once."""
        self._reap()
        if self._database.gate.closed() is not None:  # how far anybody was told could not be kept
            return False
        waits = time.monotonic() >= self._next_place and self._log.waits()
        is_time = time.monotonic() >= self._next_look
        more = self._keep_audit()
        if self._telling and not self._lease.take():
            raise LeaseLost("another worker dispatches by now")
        if not waits and not is_time:
            return more
        if waits and not self._lease.take():
            return False
        if is_time:  # before events get their positions, so that a new consumer hears of them
            self._enrol()
            self._next_look = time.monotonic() + _LOOK_SECONDS
        placed = self._place() if waits else 0
        if 0 < placed < PLACED_AT_ONCE:
            self._next_place = time.monotonic() + _PLACE_SECONDS
        if placed and self._telling:  # who is being told may just have looked for the last time
            self._next_look = 0.0
        pending = [name for name in self._pending() if name not in self._telling and not self._rests(name)]
        if pending and self._lease.take():
            for name in pending:
                self._telling[name] = pool.submit(self._deliveries.run, name, self._stop.is_set)
        return more or placed == PLACED_AT_ONCE

    def _keep_audit(self) -> bool:
        """Seal what waits for the audit log, once a second; returns whether to go on at once.

        A failure of it keeps no observer waiting.
        """
        if time.monotonic() < self._next_seal:
            return False
        try:
            more = self._sealer.waits() and self._lease.take() and self._seal()
        except RegistryError as error:
            _log.warning("the audit log cannot be sealed now: %s", error)
            more = False
        except LeaseLost:
            raise
        except Exception:  # noqa: BLE001 - nor must a defect of it
            _log.exception("the audit log cannot be sealed now")
            more = False
        if not more:
            self._next_seal = time.monotonic() + _SEAL_SECONDS
        return more

    def _seal(self) -> bool:
        """Make records of what waits; committed for good, as their last hash is told to others."""

        def work(connection: Connection) -> bool:
            self._lease.require(connection)
            return self._sealer.seal(connection)

        return self._database.write(work)

    def _place(self) -> int:
        """Give events their positions; committed for good, as they are handed out at once."""

        def work(connection: Connection) -> int:
            self._lease.require(connection)
            return self._log.place(connection)

        return self._database.write(work)

    def _pending(self) -> Sequence[str]:
        """Return the consumers that are behind, or have something due again, and whose plugin is called now."""
        with self._database.read() as connection:
            head = self._log.head(connection)
            due = set(connection.scalars(_DUE, {"now": self._database.now(connection)}))
            rows = connection.execute(_CONSUMERS).all()
        behind = [row.name for row in rows if row.position < head or row.name in due]
        return [name for name in behind if self._observers.hears(name)]

    def _enrol(self) -> None:
        """Let new consumers begin at the present, and forget those that their plugin names no more."""
        named = self._observers.names()
        with self._database.read() as connection:
            known = set(connection.scalars(_CONSUMERS.with_only_columns(_CONSUMER.c.name)))
        fresh, gone = _changes(named, known)
        if not (fresh or gone) or not self._lease.take():
            return

        def work(connection: Connection) -> None:
            self._lease.require(connection)
            head = self._log.head(connection)
            for name in fresh:
                connection.execute(self._database.insert_ignore(EventConsumer).values(name=name, position=head))
            for name in gone:
                for statement in _FORGET:
                    connection.execute(statement, {"b_consumer": name})

        self._database.write(work)

    def _reap(self) -> None:
        for name in [name for name, future in self._telling.items() if future.done()]:
            future = self._telling.pop(name)
            error = future.exception()
            if error is not None:
                _log.warning("consumer %s was not told to the end: %s", name, error)
            if error is not None or future.result().enough:
                _, seconds = self._resting.get(name, (0.0, _REST_SECONDS / 2))
                seconds = min(seconds * 2, _LONGEST_REST)
                self._resting[name] = (time.monotonic() + seconds, seconds)
            else:
                self._resting.pop(name, None)

    def _rests(self, name: str) -> bool:
        return time.monotonic() < self._resting.get(name, (0.0, 0.0))[0]


def _pause(failures: int) -> float:
    """Return how many seconds to wait after so many failures one after another."""
    return min(math.ldexp(_POLL_SECONDS, min(failures, _DOUBLINGS)), _LONGEST_PAUSE)


def _changes(named: Mapping[str, Sequence[str] | None], known: set[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return which consumers are new, and which are gone; those of a plugin that cannot tell, or is not here, stay."""
    wanted = {name for names in named.values() for name in names or ()}
    told = {plugin for plugin, names in named.items() if names is not None}
    gone = [name for name in known - wanted if name.partition("/")[0] in told]
    return sorted(wanted - known), sorted(gone)
