"""The worker: takes runs from the queue and carries them out, beside others of its kind."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial

from registry.access.actors import Actor
from registry.errors import ReadOnly, RegistryError
from registry.work.jobs import Result
from registry.work.queue import Claimed, JobQueue

_log = logging.getLogger(__name__)
_THREADS = 3
_POLL_SECONDS = 1.0
_BEAT_SECONDS = 10.0
_LONGEST_WAIT = 30.0


def new_holder() -> str:
    """Return a name for this worker that no other has."""
    return f"{socket.gethostname()[:64]}-{os.getpid()}-{secrets.token_hex(4)}"


class RunContext:
    """What a job is given while it runs; see :class:`~registry.work.jobs.JobContext`."""

    def __init__(self, claimed: Claimed, stopping: Callable[[], bool]) -> None:
        """Tell the job to stop once ``stopping`` says so, or :attr:`cancelled` is set."""
        self._claimed = claimed
        self._stopping = stopping
        self.cancelled = threading.Event()
        self.done, self.total = 0, 0
        self.kept: Callable[[], None] | None = None
        """What keeps the result, where it could not be kept as the registry had become read-only."""

    @property
    def arguments(self) -> Mapping[str, object]:
        """What the run was asked for."""
        return self._claimed.arguments

    @property
    def actor(self) -> Actor:
        """On whose behalf it runs."""
        return Actor(self._claimed.actor)

    def progress(self, done: int, total: int = 0) -> None:
        """Keep how far it is, for the next heartbeat."""
        self.done, self.total = done, total

    def stopping(self) -> bool:
        """Tell whether the worker ends or the run was cancelled."""
        return self.cancelled.is_set() or self._stopping()


def carry_out(queue: JobQueue, claimed: Claimed, context: RunContext) -> tuple[Result, str]:
    """Run a claimed job to its end in this thread, and keep what came of it; returns the result and the error."""
    result: Result = {}
    error = ""
    started = time.monotonic()
    try:
        result = claimed.job.run(context)
    except RegistryError as failure:
        error = failure.message
        _log.warning("job %s failed: %s", claimed.job.name, failure.message)
    except Exception as failure:  # noqa: BLE001 - a job's failure must not end the worker
        error = f"{type(failure).__name__}: {failure}"
        _log.exception("job %s failed", claimed.job.name)
    figures = {name: value for name, value in result.items() if value}
    if figures:
        took = round(time.monotonic() - started, 3)
        _log.info("job %s is done", claimed.job.name, extra={"seconds": took, **_told(figures)})
    finish = partial(queue.finish, claimed, result, error, stopped=context.cancelled.is_set(), done=context.done)
    try:
        finish()
    except ReadOnly:
        context.kept = finish
    return result, error


def _told(figures: Mapping[str, object]) -> dict[str, object]:
    """Prefix the figures: a log record has attributes of its own."""
    return {f"job_{name}": value for name, value in figures.items() if isinstance(value, int | float | str)}


class Worker:
    """Runs jobs until it is told to stop."""

    def __init__(
        self, queue: JobQueue, holder: str, *, asked_only: bool = False, poll_seconds: float = _POLL_SECONDS
    ) -> None:
        """Take runs from ``queue`` as ``holder``; with ``asked_only`` none that a schedule starts."""
        self._queue = queue
        self._holder = holder
        self._asked_only = asked_only
        self._poll_seconds = poll_seconds
        self._stop = threading.Event()
        self._running: dict[Future[object], tuple[Claimed, RunContext]] = {}
        self._unkept: list[Callable[[], None]] = []

    def stop(self) -> None:
        """End soon: running jobs are told to stop."""
        self._stop.set()

    def run(self, alive: Callable[[], bool] = lambda: True) -> None:
        """Work until :meth:`stop`, or until ``alive`` says that whoever started this worker is gone."""
        failures, next_beat = 0, 0.0
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="job") as pool:
            while not self._stop.is_set():
                if not alive():
                    _log.info("the worker ends: the server that started it is gone")
                    self.stop()
                    break
                try:
                    if not self._queue.paused():
                        self._keep_results()
                        if time.monotonic() >= next_beat:
                            self._beat()
                            next_beat = time.monotonic() + _BEAT_SECONDS
                        self._fill(pool)
                    failures = 0
                except RegistryError as error:
                    failures += 1
                    _log.warning("the worker cannot look for work: %s", error.message)
                except Exception:  # noqa: BLE001 - nor must one of its own
                    failures += 1
                    _log.exception("the worker cannot look for work")
                self._rest(min(self._poll_seconds * 2**failures, _LONGEST_WAIT))
        self._reap()

    def run_due(self) -> bool:
        """Run all that is due now, one after another, and return whether none failed."""
        sound = True
        while not self._stop.is_set() and (claimed := self._queue.claim(self._holder, self._queue.names)):
            _, error = carry_out(self._queue, claimed, RunContext(claimed, self._stopping))
            sound = sound and not error
        return sound

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        self._reap()
        self._queue.recover()
        while len(self._running) < _THREADS and not self._stop.is_set():
            busy = {claimed.job.name for claimed, _ in self._running.values()}
            idle = [name for name in self._queue.names if name not in busy]
            claimed = self._queue.claim(self._holder, idle, asked_only=self._asked_only)
            if claimed is None:
                return
            context = RunContext(claimed, self._stopping)
            self._running[pool.submit(carry_out, self._queue, claimed, context)] = (claimed, context)

    def _stopping(self) -> bool:
        """Tell a running job whether to end soon: also where nothing that it does would be kept."""
        return self._stop.is_set() or self._queue.paused()

    def _keep_results(self) -> None:
        """Keep what came of runs that ended while the registry was read-only."""
        self._reap()
        while self._unkept:
            self._unkept[-1]()
            self._unkept.pop()

    def _beat(self) -> None:
        for claimed, context in list(self._running.values()):
            if not self._queue.beat(claimed, context.done, context.total):
                context.cancelled.set()

    def _reap(self) -> None:
        for future in [future for future in self._running if future.done()]:
            claimed, context = self._running.pop(future)
            if context.kept is not None:
                self._unkept.append(context.kept)
            if (error := future.exception()) is not None:  # not the job's, but that of keeping its result
                _log.warning("the result of job %s was not kept: %s", claimed.job.name, error)

    def _rest(self, seconds: float) -> None:
        """Wait for the time to pass, or for a run to end: another may be waiting for its place."""
        if self._running:
            wait(self._running, timeout=min(seconds, self._poll_seconds), return_when=FIRST_COMPLETED)
        self._stop.wait(seconds if not self._running else self._poll_seconds / 4)
