"""What a server takes of the machine: the CPU time and the memory of its process group."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import group_members

_TICK = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(group: int) -> float:
    """Return the user and system time that a process group has spent, with children it has reaped."""
    ticks = 0
    for pid in group_members(group):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold blanks; utime to cstime are the 12th to 15th field after it.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks * _TICK


def resident_bytes(group: int) -> int:
    """Return the summed proportional set size of a process group: shared pages count once."""
    total = 0
    for pid in group_members(group):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


@dataclass
class Meter:
    """The wall time, the server's CPU time and our own CPU time of what runs in the context, in seconds."""

    group: int
    wall: float = 0
    server: float = 0
    own: float = 0

    def __enter__(self) -> Self:
        self.server = -cpu_seconds(self.group)
        self.own = -time.process_time()
        self.wall = -time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall += time.perf_counter()
        self.own += time.process_time()
        self.server += cpu_seconds(self.group)
