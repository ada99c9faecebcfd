"""A command-line program with a home of its own, so that no setting of the developer's reaches it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_KEPT = ("PATH", "LANG", "TMPDIR")


@dataclass(frozen=True)
class Command:
    """A program that is called with arguments; `flags` come before them at every call."""

    program: str
    home: Path
    flags: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60

    def run(
        self, *args: str | Path, stdin: str | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Call the program in its home (or `cwd`) and return what came of it, whatever that is."""
        self.home.mkdir(parents=True, exist_ok=True)
        return subprocess.run(
            [self.program, *self.flags, *map(str, args)],
            env=self._environment(),
            cwd=cwd or self.home,
            stdin=subprocess.DEVNULL if stdin is None else None,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=False,
        )

    def __call__(self, *args: str | Path, stdin: str | None = None, cwd: Path | None = None) -> str:
        """Call the program and return its standard output; a failure raises with all it wrote."""
        done = self.run(*args, stdin=stdin, cwd=cwd)
        if done.returncode:
            words = " ".join([Path(self.program).name, *map(str, args)])
            raise AssertionError(f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def refused(self, *args: str | Path, stdin: str | None = None) -> str:
        """Call the program, which must fail, and return what it wrote on its error output."""
        done = self.run(*args, stdin=stdin)
        if not done.returncode:
            words = " ".join([Path(self.program).name, *map(str, args)])
            raise AssertionError(f"{words} succeeded\n{done.stdout}{done.stderr}")
        return done.stderr

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {**kept, "HOME": str(self.home), **self.env}
