"""The worker that ``moorage serve`` runs beside its own processes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

_log = logging.getLogger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_SOUND_SECONDS = 60.0


class Companion:
    """One worker process: started again when it ends by itself, and ended with the server.

    It is a program of its own, so that it has none of the server's sockets, locks and threads.
    """

    def __init__(self, flags: Sequence[str], grace_seconds: float) -> None:
        """Start the command with ``flags``; give its jobs ``grace_seconds`` when it is to end."""
        self._flags = tuple(flags)
        self._grace_seconds = grace_seconds
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
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
            command = [sys.executable, "-m", "registry", "worker", *self._flags, "--beside", str(os.getpid())]
            self._process = subprocess.Popen(command)  # noqa: S603 - this very program, with flags it was given
            if self._ending.is_set():
                self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_SOUND_SECONDS)
                pause = min(pause * 2, _LONGEST_WAIT)
            if self._process.poll() is None:
                pause = _FIRST_WAIT
                self._process.wait()
            if not self._ending.is_set():
                _log.info("the worker ended; it is started again in %g s", pause)
            self._ending.wait(pause)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
