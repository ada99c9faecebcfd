"""Jobs and their runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import maybe_moment, moment
from registry.errors import JobRefused, JobUnknown, PaginationInvalid
from registry.work import runs

blueprint = Blueprint("api_jobs", __name__, url_prefix=PREFIX)
Scalar = str | int | bool | None


class Job(msgspec.Struct):
    """A job; ``next`` is when it is due (null: no worker has seen it yet), ``holder`` the worker that runs it."""

    name: str
    about: str
    every_seconds: float | None
    exclusive: bool
    next: datetime | None
    holder: str


class Jobs(msgspec.Struct):
    """All jobs."""

    items: list[Job]


class Run(msgspec.Struct):
    """A run of a job; it is over once ``finished`` is set. ``done`` of ``total`` (0: unknown) tells how far it is.

    ``heard`` is when its worker last said that it lives (null before one took it).
    """

    id: int
    job: str
    trigger: str
    actor: str
    state: str
    arguments: dict[str, Any]
    created: datetime
    started: datetime | None
    heard: datetime | None
    finished: datetime | None
    done: int
    total: int
    result: dict[str, Any]
    error: str


class RunsQuery(PageQuery):
    """Whose runs."""

    job: str | None = None


class NewRun(Body):
    """What a run is told; each job says which arguments it knows."""

    arguments: Annotated[Mapping[str, Scalar], msgspec.Meta(max_length=32)] = {}


@operation(blueprint, "GET", "/jobs")
def list_jobs(actor: Actor) -> Jobs:
    """List all jobs, and when each runs next."""
    return Jobs(
        [
            Job(
                one.job.name,
                one.job.about,
                one.job.every_seconds,
                one.job.exclusive,
                maybe_moment(one.due_ms),
                one.holder,
            )
            for one in services().runs.schedules(actor)
        ]
    )


@operation(blueprint, "POST", "/jobs/{job}/runs", status=202, errors=(JobUnknown,))
def run_job(actor: Actor, job: str, wanted: NewRun) -> Reply[Run]:
    """Ask for a run of a job now; a worker takes it within seconds."""
    run = services().runs.queue(actor, job, wanted.arguments)
    return Reply(_shown(run), location=f"/runs/{run.id}")


@operation(blueprint, "GET", "/runs", errors=(JobUnknown, PaginationInvalid))
def list_runs(actor: Actor, query: RunsQuery) -> PageOf[Run]:
    """List runs, newest first. Scheduled runs that did nothing are not kept."""
    (before,) = query.after(0)
    page = services().runs.runs(actor, query.job, query.size, int(before))
    return page_of(page, _shown, lambda run: (run.id,))


@operation(blueprint, "GET", "/runs/{run}", errors=(JobUnknown,))
def show_run(actor: Actor, run: int) -> Run:
    """Show a run, and how far it is."""
    return _shown(services().runs.show(actor, run))


@operation(blueprint, "POST", "/runs/{run}/cancel", status=202, errors=(JobUnknown, JobRefused))
def cancel_run(actor: Actor, run: int) -> Run:
    """Take a waiting run out of the queue, or ask a running one to stop; what it did stays done."""
    return _shown(services().runs.cancel(actor, run))


def _shown(run: runs.Run) -> Run:
    return Run(
        run.id,
        run.job,
        run.trigger,
        run.actor,
        run.state,
        dict(run.arguments),
        moment(run.created_ms),
        maybe_moment(run.started_ms),
        maybe_moment(run.heard_ms),
        maybe_moment(run.finished_ms),
        run.done,
        run.total,
        dict(run.result),
        run.error,
    )
