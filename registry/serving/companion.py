"""The worker that ``moorage serve`` runs beside its own processes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

_log = logging.getLogger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_SOUND_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_DESCRIPTORS = 1024


class Companion:
    """One worker process: started again when it ends by itself, and ended with the server.

    It is a program of its own, so that it has none of the server's sockets, locks and threads.
    """

    def __init__(self, flags: Sequence[str], variables: Mapping[str, str], grace_seconds: float) -> None:
        """Start the command with ``flags``, and ``variables`` beside those of the environment, which nobody else sees.

        Its jobs get ``grace_seconds`` when it is to end.
        """
        self._flags = tuple(flags)
        self._variables = dict(variables)
        self._grace_seconds = grace_seconds
        self._ending = threading.Event()
        self._pid = 0
        self._thread = threading.Thread(target=self._watch, name="companion", daemon=True)

    def start(self) -> None:
        """Start the worker, and watch it."""
        self._thread.start()

    def end(self) -> None:
        """Tell the worker to end, and wait for that; one that takes too long is killed."""
        self._ending.set()
        self._signal(signal.SIGTERM)
        self._thread.join(self._grace_seconds)
        if self._thread.is_alive():
            self._signal(signal.SIGKILL)
            self._thread.join()

    def _watch(self) -> None:
        pause = _FIRST_WAIT
        while not self._ending.is_set():
            started = time.monotonic()
            command = [sys.executable, "-m", "registry", "worker", *self._flags, "--beside", str(os.getpid())]
            self._pid = _spawn(command, {**os.environ, **self._variables})
            if self._ending.is_set():
                self._signal(signal.SIGTERM)
            while _runs(self._pid):
                time.sleep(_LOOK_SECONDS)  # the arbiter takes the news of every child, so nothing here can await it
            pause = _FIRST_WAIT if time.monotonic() - started > _SOUND_SECONDS else min(pause * 2, _LONGEST_WAIT)
            if not self._ending.is_set():
                _log.info("the worker ended; it is started again in %g s", pause)
            self._ending.wait(pause)

    def _signal(self, number: int) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)


def _spawn(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Start a program that inherits nothing but the three standard streams, and return its process id.

    subprocess.Popen waits on a pipe that a server process, forked in the same moment, would hold open for ever.
    """
    inherited = [number for number in range(3, _DESCRIPTORS) if _is_inherited(number)]
    actions = [(os.POSIX_SPAWN_CLOSE, number) for number in inherited]
    return os.posix_spawn(command[0], list(command), environment, file_actions=actions)


def _is_inherited(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def _runs(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:  # the arbiter was quicker
        return False
