"""Runs of jobs, as people ask for them and look at them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, insert, select, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.audit.entries import write
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Job as JobRow
from registry.db.models import JobRun
from registry.errors import JobRefused, JobUnknown
from registry.pages import Page, cut
from registry.work.jobs import Job

QUEUED, RUNNING, STOPPING = "QUEUED", "RUNNING", "STOPPING"
DONE, FAILED, CANCELLED, LOST = "DONE", "FAILED", "CANCELLED", "LOST"
OVER = (DONE, FAILED, CANCELLED, LOST)
"""The states in which a run has ended, one way or another."""
SCHEDULE, BY_HAND = "schedule", "by hand"
LEASE_MS = 60_000
"""How long a worker is taken to live after its last heartbeat."""
NEVER = 1 << 62
"""When a job is due that runs only when it is asked for."""

_RUN = table(JobRun)
_BY_ID = select(_RUN).where(_RUN.c.id == bindparam("id"))
_LOCK = _BY_ID.with_for_update()
_INSERT = insert(_RUN).returning(_RUN.c.id)


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a job. Times are in milliseconds; ``done`` of ``total`` (0: unknown) tells how far it is.

    ``heard_ms`` is when its worker last said that it lives, None before one took it.
    """

    id: int
    job: str
    trigger: str
    actor: str
    state: str
    arguments: Mapping[str, object]
    created_ms: int
    started_ms: int | None
    heard_ms: int | None
    finished_ms: int | None
    done: int
    total: int
    result: Mapping[str, object]
    error: str

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job and when it runs next (milliseconds; None: when it is asked for, or no worker has seen it yet)."""

    job: Job
    due_ms: int | None
    holder: str


class RunService:
    """Asks for runs, lists them, and stops them."""

    def __init__(self, database: Database, authorizer: Authorizer, jobs: Sequence[Job]) -> None:
        """Know ``jobs`` by their names."""
        self._database = database
        self._authorizer = authorizer
        self._jobs = {job.name: job for job in jobs}

    def schedules(self, actor: Actor) -> Sequence[Schedule]:
        """Return every job, and when it runs next."""
        self._authorizer.require(actor, Action.ADMIN, None)
        with self._database.read() as connection:
            now = self._database.now(connection)
            rows = {row.name: row for row in connection.execute(select(table(JobRow)))}
        found = []
        for job in self._jobs.values():
            row = rows.get(job.name)
            held = row is not None and row.lease_until > now
            due = None if row is None or row.due_ms == NEVER else row.due_ms
            found.append(Schedule(job, due, row.holder if row and held else ""))
        return found

    def queue(self, actor: Actor, name: str, arguments: Mapping[str, object]) -> Run:
        """Ask for a run now; a worker takes it. Raises :class:`JobUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        require_job(self._jobs, name)

        def work(connection: Connection) -> Run:
            run_id = insert_run(self._database, connection, name, BY_HAND, actor.principal, arguments, QUEUED, "")
            write(self._database, connection, actor, "job.queued", name, {"run": run_id, "arguments": dict(arguments)})
            return _require_run(connection, run_id)

        return self._database.write(work)

    def runs(self, actor: Actor, job: str | None, limit: int, before: int) -> Page[Run]:
        """Return at most ``limit`` runs, newest first, of one job or of all, older than the id ``before`` (0: all)."""
        self._authorizer.require(actor, Action.ADMIN, None)
        statement = select(_RUN).order_by(_RUN.c.id.desc()).limit(limit + 1)
        if job is not None:
            require_job(self._jobs, job)
            statement = statement.where(_RUN.c.job == job)
        if before:
            statement = statement.where(_RUN.c.id < before)
        with self._database.read() as connection:
            rows = [_shown(row) for row in connection.execute(statement)]
        return cut(rows, limit)

    def show(self, actor: Actor, run_id: int) -> Run:
        """Return one run; raises :class:`JobUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None)
        with self._database.read() as connection:
            return _require_run(connection, run_id)

    def cancel(self, actor: Actor, run_id: int) -> Run:
        """Take a waiting run out of the queue, or ask a running one to stop.

        Raises :class:`JobUnknown`, or :class:`JobRefused` once it is over.
        """
        self._authorizer.require(actor, Action.ADMIN, None)

        def work(connection: Connection) -> Run:
            run = _require_run(connection, run_id, _LOCK)  # so that no worker takes or ends it meanwhile
            if run.over:
                raise JobRefused("this run is over", detail={"run": run_id, "state": run.state})
            now = self._database.now(connection)
            ended = {"state": CANCELLED, "finished_ms": now} if run.state == QUEUED else {"state": STOPPING}
            connection.execute(update(_RUN).where(_RUN.c.id == run_id).values(**ended))
            write(self._database, connection, actor, "job.cancelled", run.job, {"run": run_id})
            return _require_run(connection, run_id)

        return self._database.write(work)


def insert_run(
    database: Database,
    connection: Connection,
    job: str,
    trigger: str,
    actor: str,
    arguments: Mapping[str, object],
    state: str,
    holder: str,
) -> int:
    """Insert a run in the caller's transaction, waiting or held, and return its id."""
    now = database.now(connection)
    values = {
        "job": job,
        "trigger": trigger,
        "actor": actor,
        "state": state,
        "arguments": json.dumps(dict(arguments)),
        "holder": holder,
        "lease_until": now + LEASE_MS if state == RUNNING else 0,
        "created_ms": now,
        "started_ms": now if state == RUNNING else None,
    }
    return int(connection.execute(_INSERT, values).scalar_one())


def require_job(jobs: Mapping[str, Job], name: str) -> Job:
    """Return a job by its name; raises :class:`JobUnknown` that names those there are."""
    job = jobs.get(name)
    if job is None:
        raise JobUnknown("no such job", detail={"job": name[:64], "jobs": sorted(jobs)})
    return job


def _require_run(connection: Connection, run_id: int, statement: Select[*tuple[Any, ...]] = _BY_ID) -> Run:
    row = connection.execute(statement, {"id": run_id}).first()
    if row is None:
        raise JobUnknown("no such run", detail={"run": run_id})
    return _shown(row)


def _shown(row: Row[Any]) -> Run:
    return Run(
        row.id,
        row.job,
        row.trigger,
        row.actor,
        row.state,
        json.loads(row.arguments),
        row.created_ms,
        row.started_ms,
        row.lease_until - LEASE_MS if row.lease_until else None,
        row.finished_ms,
        row.done,
        row.total,
        json.loads(row.result or "{}"),
        row.error,
    )
