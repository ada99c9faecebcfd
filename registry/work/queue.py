"""The queue of jobs in the database: schedules, runs, and who holds them.

A run is claimed in one transaction, kept by heartbeats, and lost when they stop: then its job is due again. A
scheduled run that did nothing leaves no trace.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import BindParameter, Connection, and_, bindparam, delete, select, update

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Job as JobRow
from registry.db.models import JobRun
from registry.errors import RegistryError
from registry.work.jobs import Job, Result
from registry.work.runs import (
    BY_HAND,
    CANCELLED,
    DONE,
    FAILED,
    LEASE_MS,
    LOST,
    NEVER,
    OVER,
    QUEUED,
    RUNNING,
    SCHEDULE,
    STOPPING,
    insert_run,
)

_KEPT = 100
"""How many runs of a job are listed once they are over; those that wait are never forgotten."""

_JOB, _RUN = table(JobRow), table(JobRun)
_NAMES: BindParameter[Any] = bindparam("names", expanding=True)
_WAITING = (
    select(JobRun.id, JobRun.job, JobRun.actor, JobRun.arguments)
    .where(JobRun.state == QUEUED, JobRun.job.in_(_NAMES))
    .order_by(JobRun.id)
    .with_for_update(skip_locked=True)
)
_SCHEDULED = (
    select(JobRow.name)
    .where(JobRow.due_ms <= bindparam("now"), JobRow.lease_until <= bindparam("now"), JobRow.name.in_(_NAMES))
    .order_by(JobRow.due_ms)
)
_HOLD = (
    update(_JOB)
    .where(_JOB.c.name == bindparam("b_name"), _JOB.c.lease_until <= bindparam("b_now"))
    .values(holder=bindparam("b_holder"), lease_until=bindparam("b_until"), due_ms=bindparam("b_due"))
)
_KEEP = (
    update(_JOB)
    .where(_JOB.c.name == bindparam("b_name"), _JOB.c.holder == bindparam("b_holder"))
    .values(lease_until=bindparam("b_until"))
)
_START = update(_RUN).where(_RUN.c.id == bindparam("b_id"), _RUN.c.state == QUEUED)
_BEAT = (
    update(_RUN)
    .where(
        _RUN.c.id == bindparam("b_id"), _RUN.c.holder == bindparam("b_holder"), _RUN.c.state.in_([RUNNING, STOPPING])
    )
    .values(lease_until=bindparam("b_until"), done=bindparam("b_done"), total=bindparam("b_total"))
    .returning(_RUN.c.state)
)
_ENDED = _RUN.c.state.in_(OVER)
_OLDEST_KEPT = (
    select(_RUN.c.id).where(_RUN.c.job == bindparam("job"), _ENDED).order_by(_RUN.c.id.desc()).offset(_KEPT).limit(1)
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that a worker holds."""

    run_id: int
    job: Job
    trigger: str
    actor: str
    arguments: Mapping[str, object]
    holder: str


class JobQueue:
    """Runs of jobs, as workers take them: claimed, kept alive, ended, given up."""

    def __init__(self, database: Database, jobs: Sequence[Job]) -> None:
        """Know ``jobs`` by their names."""
        self._database = database
        self._jobs = {job.name: job for job in jobs}

    @property
    def names(self) -> Collection[str]:
        """The names of all jobs."""
        return self._jobs.keys()

    def paused(self) -> bool:
        """Tell whether the registry is read-only: then nothing is claimed, kept alive or ended."""
        try:
            return self._database.gate.closed() is not None
        except RegistryError:  # whoever needs the database is told
            return False

    def claim(self, holder: str, names: Collection[str], *, asked_only: bool = False) -> Claimed | None:
        """Take the next run among jobs ``names`` for a worker, or None where nothing is to be done.

        Runs asked for by hand come first; with ``asked_only`` no others are taken. Raises
        :class:`~registry.errors.Unavailable` without a database.
        """
        with self._database.read() as connection:
            now = self._database.now(connection)
            waiting = connection.execute(_WAITING, {"names": list(names)}).first() is not None
            known = set(connection.scalars(select(JobRow.name)))
            due = connection.scalars(_SCHEDULED, {"now": now, "names": list(names)}).all()
        if fresh := [name for name in names if name not in known]:
            self._database.write(lambda connection: self._register(connection, fresh))
        if waiting:
            claimed = self._database.write(partial(self._claim_waiting, holder=holder, names=names))
            if claimed is not None:
                return claimed
        for name in () if asked_only else due:
            if self._jobs[name].wanted():
                claimed = self._database.write(partial(self._claim_due, holder=holder, name=name))
                if claimed is not None:
                    return claimed
        return None

    def beat(self, claimed: Claimed, done: int, total: int) -> bool:
        """Tell that a run goes on; returns False where it should stop or was given up."""

        def work(connection: Connection) -> bool:
            until = self._database.now(connection) + LEASE_MS
            values = {
                "b_id": claimed.run_id,
                "b_holder": claimed.holder,
                "b_until": until,
                "b_done": done,
                "b_total": total,
            }
            state = connection.execute(_BEAT, values).scalar()
            if state is not None and claimed.job.exclusive:
                connection.execute(_KEEP, {"b_name": claimed.job.name, "b_holder": claimed.holder, "b_until": until})
            return bool(state == RUNNING)

        return self._database.write(work, durable=False)

    def finish(self, claimed: Claimed, result: Result, error: str, *, stopped: bool = False, done: int = 0) -> None:
        """End a run; one that a schedule started and that did nothing is forgotten."""

        def work(connection: Connection) -> None:
            now = self._database.now(connection)
            mine = and_(_RUN.c.id == claimed.run_id, _RUN.c.holder == claimed.holder)
            if claimed.trigger == SCHEDULE and not error and not any(result.values()):
                connection.execute(delete(_RUN).where(mine))
            else:
                state = FAILED if error else CANCELLED if stopped else DONE
                ended = {"state": state, "finished_ms": now, "result": json.dumps(result), "error": error, "done": done}
                connection.execute(update(_RUN).where(mine).values(**ended))
            if claimed.job.exclusive:
                released = {"b_name": claimed.job.name, "b_holder": claimed.holder, "b_until": 0}
                connection.execute(_KEEP, released)
            oldest = connection.scalar(_OLDEST_KEPT, {"job": claimed.job.name})
            if oldest is not None:
                connection.execute(delete(_RUN).where(_RUN.c.job == claimed.job.name, _RUN.c.id <= oldest, _ENDED))

        self._database.write(work, durable=False)

    def recover(self) -> int:
        """Mark runs lost whose worker has not been heard of, and return how many."""
        lost = and_(_RUN.c.state.in_([RUNNING, STOPPING]), _RUN.c.lease_until < bindparam("b_now"))
        with self._database.read() as connection:
            now = self._database.now(connection)
            gone = connection.scalars(select(_RUN.c.id).where(lost), {"b_now": now}).all()
        if not gone:
            return 0
        ended = {"state": LOST, "finished_ms": now, "error": "its worker has not been heard of"}
        statement = update(_RUN).where(lost).values(**ended)
        return self._database.write(lambda connection: connection.execute(statement, {"b_now": now}).rowcount)

    def _claim_waiting(self, connection: Connection, holder: str, names: Collection[str]) -> Claimed | None:
        now = self._database.now(connection)
        for row in connection.execute(_WAITING, {"names": list(names)}).all():
            job = self._jobs[row.job]
            if job.exclusive and not self._hold(connection, now, job, holder):
                continue
            values = {"state": RUNNING, "holder": holder, "lease_until": now + LEASE_MS, "started_ms": now}
            connection.execute(_START.values(**values), {"b_id": row.id})
            return Claimed(row.id, job, BY_HAND, row.actor, json.loads(row.arguments), holder)
        return None

    def _claim_due(self, connection: Connection, holder: str, name: str) -> Claimed | None:
        now, job = self._database.now(connection), self._jobs[name]
        if not self._hold(connection, now, job, holder):
            return None
        run_id = insert_run(self._database, connection, name, SCHEDULE, holder, {}, RUNNING, holder)
        return Claimed(run_id, job, SCHEDULE, f"job:{name}", {}, holder)

    def _hold(self, connection: Connection, now: int, job: Job, holder: str) -> bool:
        """Take a job's lease; one that is not exclusive is only put to its next time."""
        until = now + LEASE_MS if job.exclusive else 0
        values = {
            "b_name": job.name,
            "b_now": now,
            "b_holder": holder if job.exclusive else "",
            "b_until": until,
            "b_due": _next(now, job),
        }
        return connection.execute(_HOLD, values).rowcount == 1

    def _register(self, connection: Connection, names: Collection[str]) -> None:
        now = self._database.now(connection)
        for name in names:
            connection.execute(
                self._database.insert_ignore(JobRow).values(
                    name=name, due_ms=_first(now, self._jobs[name]), holder="", lease_until=0
                )
            )


def _first(now: int, job: Job) -> int:
    return NEVER if job.every_seconds is None else now


def _next(now: int, job: Job) -> int:
    return NEVER if job.every_seconds is None else now + round(job.every_seconds * 1000)
