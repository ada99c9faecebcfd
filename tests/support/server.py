"""A Moorage server as its users start it: the command, in processes of its own."""

import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import PATIENCE, free_port
from tests.support.processes import Child, children

_REPOSITORY = Path(__file__).resolve().parents[2]
# A developer's own settings must not reach a server under test.
_KEPT = {"MOORAGE_TEST_SCALE", "MOORAGE_TOOLS"}


@dataclass
class MoorageServer:
    """`moorage serve` on a loopback port, ready while the context lasts.

    With `worker` it starts its worker beside it. `env` are settings (MOORAGE_DATABASE_URL, ...), `args` further flags of the command. The port is
    kept over restarts, and so is the data. `python` and `cwd` serve from another installation.
    """

    data: Path
    workers: int = 1
    threads: int = 4
    env: Mapping[str, str] = field(default_factory=dict)
    args: Sequence[str] = ()
    worker: bool = False
    port: int = field(default_factory=free_port)
    start_deadline: float = PATIENCE
    ready_path: str = "/health/ready"
    python: Path = field(default_factory=lambda: Path(sys.executable))
    cwd: Path = _REPOSITORY
    _child: Child = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self._child = Child(
            argv=self._command(),
            log=self.log,
            ready=self.is_ready,
            env=self._environment(),
            cwd=self.cwd,
            start_deadline=self.start_deadline,
        )

    def __enter__(self) -> Self:
        self._child.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    @property
    def host(self) -> str:
        """The name clients use in image references: address and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://{self.host}"

    @property
    def log(self) -> Path:
        """The file with what the server writes on stdout and stderr, beside the data folder."""
        return self.data.with_name(f"{self.data.name}.log")

    @property
    def pid(self) -> int:
        """The master process's id; it is also the process group."""
        return self._child.pid

    @property
    def worker_pids(self) -> list[int]:
        """The worker processes' ids, oldest first."""
        return children(self.pid)

    @property
    def running(self) -> bool:
        """Whether the master is alive."""
        return self._child.running

    def log_tail(self) -> str:
        """Return the end of the log."""
        return self._child.log_tail()

    def is_ready(self) -> bool:
        """Ask the server whether it can serve."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.ready_path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def start(self) -> None:
        """Start on the same data and port, and wait until it is ready."""
        self._child.start()

    def stop(self) -> int | None:
        """Stop it as a service manager does (SIGTERM), and return its exit status."""
        return self._child.stop()

    def kill9(self) -> None:
        """Kill master and workers at once, as a crash of the machine would."""
        self._child.kill9()

    def restart(self) -> None:
        """Stop it if it runs, and start it again on the same data and port."""
        self.stop()
        self.start()

    def _command(self) -> list[str]:
        flags = ["--listen", self.host, "--data", str(self.data)]
        counts = ["--workers", str(self.workers), "--threads", str(self.threads)]
        beside = [] if self.worker else ["--no-worker"]
        return [str(self.python), "-m", "registry", "serve", *flags, *counts, *beside, *self.args]

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("MOORAGE_") or name in _KEPT
        }
        return {**inherited, **self.env}
