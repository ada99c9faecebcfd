"""Child processes: started as a group, waited for, and stopped as a group."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import PATIENCE, DeadlineExceededError, wait_until

_TAIL_BYTES = 6000
_THREADS = 17  # proc_pid_stat(5): num_threads is the 20th field, and the 18th after the name


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
    start_deadline: float = PATIENCE
    stop_deadline: float = PATIENCE
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


def _processes() -> Iterator[tuple[int, int, int, bool, bool]]:
    """Yield pid, parent, group of every process, whether it runs, and whether all its threads are dead.

    Pid 1 may be slow to reap the dead; and a first thread that is dead waits for the others, which may still write.
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # The name in parentheses may hold blanks; what follows it does not.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            state, parent, group, threads = fields[0], int(fields[1]), int(fields[2]), int(fields[_THREADS])
            runs = state not in "ZX"
            yield int(entry.name), parent, group, runs, not runs and threads <= 1


def group_members(group: int) -> list[int]:
    """Return the pids of a process group of which anything is alive."""
    return [pid for pid, _, of, _, dead in _processes() if of == group and not dead]


def children(parent: int) -> list[int]:
    """Return the pids of a process's living children, oldest first."""
    return sorted(pid for pid, of, _, runs, _ in _processes() if of == parent and runs)


@contextmanager
def frozen(pid: int, at: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Stop a process while the context lasts, and then let it run on.

    `at` is asked once it stands still; where it does not hold, the process runs on for a moment and is stopped again.
    """
    handle = os.pidfd_open(pid)
    try:

        def stands_there() -> bool:
            signal.pidfd_send_signal(handle, signal.SIGSTOP)
            wait_until(lambda: _stands(pid), PATIENCE, f"{pid} stands still")
            if not at():
                signal.pidfd_send_signal(handle, signal.SIGCONT)
                return False
            return True

        wait_until(stands_there, PATIENCE, f"{pid} stands where it should")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGCONT)
        os.close(handle)


def _stands(pid: int) -> bool:
    """Tell whether every thread of a process is stopped."""
    states = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end while this looks
            states.append((task / "stat").read_text().rpartition(")")[2].split()[0])
    return set(states) == {"T"}


@contextmanager
def killed_after(pids: Sequence[int]) -> Iterator[None]:
    """SIGKILL what is left of these processes when the context ends, and wait until they are dead."""
    handles = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))
    try:
        yield
        for handle in handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not select.select([handle], [], [], PATIENCE)[0]:
                raise DeadlineExceededError(f"not within {PATIENCE:g} s: a killed process is dead")
    finally:
        for handle in handles:
            os.close(handle)
