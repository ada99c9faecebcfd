"""Child processes: started as a group, waited for, and stopped as a group."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import DeadlineExceededError, wait_until

_TAIL_BYTES = 6000


class ChildFailedError(AssertionError):
    """A child did not start, or ended before its time; the message ends with its log."""


@dataclass
class Child:
    """A program that runs while the context lasts.

    `ready` is asked until it holds (`start_deadline` seconds at most). The end is `stop_signal` to the
    program, and SIGKILL to what is left of its group after `stop_deadline` seconds. `user` is who it
    runs as, where the caller is root.
    """

    argv: Sequence[str]
    log: Path
    ready: Callable[[], bool] = lambda: True
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    user: str | None = None
    start_deadline: float = 30
    stop_deadline: float = 20
    stop_signal: signal.Signals = signal.SIGTERM
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            sys.stderr.write(f"\n--- {self.name}: the end of {self.log}\n{self.log_tail()}\n")

    @property
    def name(self) -> str:
        """The program's name, for messages."""
        return Path(self.argv[0]).name

    @property
    def pid(self) -> int:
        """The process id, which is also the group's; raises ChildFailedError before the start."""
        if self._process is None:
            raise ChildFailedError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program itself is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the program and wait until it is ready; raise ChildFailedError if it ends or is late."""
        if self.running:
            raise ChildFailedError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
                user=self.user,
                group=self.user,
                extra_groups=[] if self.user else None,
            )
        try:
            wait_until(self._ready_or_dead, self.start_deadline, f"{self.name} is ready")
        except DeadlineExceededError as error:
            self.kill9()
            raise ChildFailedError(f"{error}\n{self.log_tail()}") from None
        except BaseException:
            self.kill9()
            raise

    def _ready_or_dead(self) -> bool:
        if not self.running:
            status = self._process.returncode if self._process else None
            raise ChildFailedError(f"{self.name} ended with status {status} before it was ready\n{self.log_tail()}")
        return self.ready()

    def stop(self) -> int | None:
        """Ask the program to end, see that its group is gone, and return its exit status."""
        if self._process is None:
            return None
        if self.running:
            self._process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.stop_deadline)
        return self.kill9()

    def kill9(self) -> int | None:
        """SIGKILL the whole group, wait until nobody of it is alive, and return the exit status."""
        if self._process is None:
            return None
        group = self._process.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        status = self._process.wait(self.stop_deadline)
        wait_until(lambda: not group_members(group), self.stop_deadline, f"the group of {self.name} is gone")
        self._process = None
        return status

    def log_tail(self) -> str:
        """Return the end of the log, whole lines."""
        if not self.log.exists():
            return "(no log)"
        text = self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        return text or "(empty log)"


def _stat_fields() -> Iterator[tuple[int, str, int, int]]:
    """Yield pid, state, parent and group of every process."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # The name in parentheses may hold blanks; what follows it does not.
            state, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            yield int(entry.name), state, int(parent), int(group)


def group_members(group: int) -> list[int]:
    """Return the pids of a process group that are alive; pid 1 may be slow to reap the dead."""
    return [pid for pid, state, _, of in _stat_fields() if of == group and state not in "ZX"]


def children(parent: int) -> list[int]:
    """Return the pids of a process's living children, oldest first."""
    return sorted(pid for pid, state, of, _ in _stat_fields() if of == parent and state not in "ZX")
