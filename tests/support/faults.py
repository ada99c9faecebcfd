"""Faults of the machine: full and read-only filesystems, failing system calls, a power cut. All need root."""

import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.support.ports import PATIENCE, wait_for_count, wait_until
from tests.support.tools import require_root, tool

_HANGS_ON_THE_DEAD = 2.0


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()}")


@contextmanager
def _unmounted_after(folder: Path) -> Iterator[Path]:
    try:
        yield folder
    finally:
        # What a dying process still holds is let go of in the background.
        _run("umount", "--lazy", str(folder))


@contextmanager
def tmpfs(folder: Path, mebibytes: int) -> Iterator[Path]:
    """Mount a filesystem of that size on `folder` while the context lasts."""
    require_root()
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder))
    with _unmounted_after(folder):
        yield folder


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Let nobody write below `folder` while the context lasts, as a mount does that turned read-only.

    Mode bits would not do: root ignores them. Files that are open already stay as they are.
    """
    require_root()
    _run("mount", "--bind", str(folder), str(folder))
    with _unmounted_after(folder):
        _run("mount", "-o", "remount,bind,ro", str(folder))
        yield folder


class Disk:
    """An ext4 filesystem in a file, whose power can be cut: `image` is what reached the block device."""

    def __init__(self, image: Path, mebibytes: int) -> None:
        """Make the filesystem."""
        require_root()
        self.image = image
        with image.open("wb") as file:
            file.truncate(mebibytes << 20)
        _run(tool("mkfs.ext4"), "-q", "-F", str(image))

    @contextmanager
    def mounted(self, folder: Path) -> Iterator[Path]:
        """Mount it; the journal is written only where somebody asks for it, never by the clock."""
        folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-o", "loop,commit=300", str(self.image), str(folder))
        with _unmounted_after(folder):
            yield folder

    def after_power_cut(self, image: Path) -> "Disk":
        """Return the disk as it would be found if the power went now."""
        shutil.copyfile(self.image, image)
        found = object.__new__(Disk)
        found.image = image
        return found


class Injection:
    """System calls of running processes that fail while the context lasts; `count` says how many did."""

    def __init__(self, pids: Sequence[int], calls: str, fault: str, log: Path, paths: Sequence[Path] = ()) -> None:
        """Inject `fault` (strace's text: `error=EIO:when=2+3`, counted by thread) into `calls` (`fsync,rename`).

        With `paths` only calls on those files count.
        """
        require_root()
        self._pids = pids
        self._log = log
        self._argv = [tool("strace"), "-f", "-qq", "-o", str(log)]
        self._argv += ["-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"]
        for path in paths:
            self._argv += ["-P", str(path)]
        for pid in pids:
            self._argv += ["-p", str(pid)]

    def __enter__(self) -> Self:
        """Attach to every thread."""
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_until(self._attached, PATIENCE, "strace holds every thread")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let go: the processes run on."""
        self._end()

    @property
    def count(self) -> int:
        """How many calls were made to fail."""
        text = self._log.read_text(errors="replace")
        return text.count("(INJECTED)") + text.count("killed by SIGKILL")

    @property
    def deaths(self) -> int:
        """How many of the processes are no more."""
        return sum(not _lives(pid) for pid in self._pids)

    def wait_for(self, count: int) -> None:
        """Wait until that many calls failed, as long as such calls are made at all."""
        wait_for_count(lambda: self.count, count, "calls were made to fail", moved=self._calls)

    def wait_for_death(self) -> None:
        """Wait until one of the processes has died of the fault, as long as such calls are made at all."""
        wait_for_count(lambda: self.deaths, 1, "processes died", moved=self._calls)

    def _calls(self) -> int:
        return self._log.stat().st_size

    def _attached(self) -> bool:
        # It ends by itself once the fault has killed every process.
        if self._process.poll() is not None and any(map(_lives, self._pids)):
            stderr = self._process.stderr
            raise AssertionError(f"strace ended: {stderr.read().decode() if stderr else ''}")
        return all(_is_traced(pid) for pid in self._pids)

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            # It may hang on the threads of a process that was killed; from living ones it must part in peace.
            patience = _HANGS_ON_THE_DEAD if self.deaths else PATIENCE
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()


def _lives(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _is_traced(pid: int) -> bool:
    """Tell whether a tracer holds every thread of a process; one that has died of the fault already was held."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return not _lives(pid) or all("TracerPid:\t0" not in (task / "status").read_text() for task in tasks)
    except (FileNotFoundError, ProcessLookupError):
        return not _lives(pid) or _is_traced(pid)
