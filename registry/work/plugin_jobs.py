"""The jobs of plugins: each is a job of the worker, and what it does wrong is a failed run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from registry.hooks.calls import Calls, PluginBroke, WrongAnswer
from registry.hooks.collecting import Contexts, answers
from registry.hooks.context import PluginJob
from registry.hooks.facade import PluginFailed
from registry.work.jobs import Job, JobContext, Result

_HOOK = "jobs"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.IGNORECASE)
_LEAST = timedelta(seconds=1)


def plugin_jobs(calls: Calls, contexts: Contexts) -> Sequence[Job]:
    """Return the jobs that plugins add, each called ``PLUGIN.name``."""
    found = answers(calls, _HOOK, _read, lambda plugin: {"context": contexts(plugin)})
    return [_job(calls, plugin, job) for plugin, jobs in found for job in jobs]


def _read(answer: Iterable[Any]) -> Sequence[PluginJob]:
    jobs: dict[str, PluginJob] = {}
    for job in answer:
        if not isinstance(job, PluginJob):
            raise TypeError(f"jobs returns a list of PluginJob, not of {type(job).__name__}")
        given: dict[str, Any] = {name: getattr(job, name) for name in ("name", "about", "run", "every")}
        if not isinstance(given["name"], str) or not _NAME.fullmatch(given["name"]):
            raise ValueError(f"a job's name is of letters, digits, - and _, 64 at most, not {job.name!r}")
        if job.name in jobs:
            raise ValueError(f"two jobs are called {job.name}")
        if not isinstance(given["about"], str) or not callable(given["run"]):
            raise TypeError(f"job {job.name}: about is a line of text, and run a function")
        if given["every"] is not None and not (isinstance(given["every"], timedelta) and given["every"] >= _LEAST):
            raise ValueError(f"job {job.name}: every is a timedelta of a second at least, or None")
        jobs[job.name] = job
    return list(jobs.values())


def _job(calls: Calls, plugin: str, job: PluginJob) -> Job:
    return Job(
        name=f"{plugin}.{job.name}",
        about=job.about,
        every_seconds=None if job.every is None else job.every.total_seconds(),
        run=partial(_run, calls, plugin, job),
    )


def _run(calls: Calls, plugin: str, job: PluginJob, context: JobContext) -> Result:
    """Run a job of a plugin; whatever it does wrong becomes the error of its run."""
    try:
        result: Result = calls.run(plugin, _HOOK, partial(_carry_out, job), _Progress(context), endless=True)
    except PluginBroke as error:
        raise PluginFailed(f"plugin {plugin} failed in job {job.name}: {error.reason}") from error
    return result


def _carry_out(job: PluginJob, progress: _Progress) -> Result:
    result = job.run(progress)
    if not isinstance(result, Mapping):
        raise WrongAnswer(f"a job returns a mapping of what it did, not {type(result).__name__}")
    try:  # what is no JSON is this run's failure, and not the queue's
        told: Result = json.loads(json.dumps(dict(result), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongAnswer(f"a job's result is no JSON: {error}") from error
    return told


class _Progress:
    """What a job of a plugin sees of its run; see :class:`~registry.hooks.JobProgress`."""

    def __init__(self, context: JobContext) -> None:
        self._context = context

    @property
    def arguments(self) -> Mapping[str, object]:
        """What the run was asked for."""
        return dict(self._context.arguments)

    def progress(self, done: int, total: int = 0) -> None:
        """Keep how far it is: whole numbers, which the database keeps."""
        self._context.progress(int(done), int(total))

    def stopping(self) -> bool:
        """Tell whether the run should end soon."""
        return self._context.stopping()
