"""The command `moorage` in processes that start at once: each is forked from one that has imported everything.

Started as a program, this file is that one process; it is told by a socket what to be. Everything else about such a
process is as always: it has its arguments, folder, environment, streams and exit code.
"""

import gc
import os
import signal
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import click

from tests.support.ports import PATIENCE, wait_until

_ROOT = Path(__file__).resolve().parents[2]
_STREAMS = 3
# What the shell runs as `moorage`: no more than Python's smallest start, and the hand-over of its streams.
_STUB = """\
#!{python} -IS
import os, socket, struct, sys
with socket.socket(socket.AF_UNIX) as zygote:
    zygote.connect({address!r})
    parts = [os.getcwd(), str(len(sys.argv) - 1), *sys.argv[1:], *(f"{{k}}={{v}}" for k, v in os.environ.items())]
    data = "\\0".join(parts).encode()
    socket.send_fds(zygote, [struct.pack("!Q", len(data))], [0, 1, 2])
    zygote.sendall(data)
    pid, code = zygote.recv(8), zygote.recv(1)
sys.exit(code[0] if code else 137)
"""


@dataclass
class Zygote:
    """The process that others are forked from, while the context lasts; `stub` in `folder` is the command."""

    folder: Path

    def __enter__(self) -> Self:
        address = self.folder / "zygote"
        argv = [sys.executable, "-m", "tests.support.zygote", str(address)]
        self._process = subprocess.Popen(argv, cwd=_ROOT, stdin=subprocess.DEVNULL)
        wait_until(
            lambda: address.exists() or self._process.poll() is not None, PATIENCE, "what moorage is forked from"
        )
        if not address.exists():
            raise AssertionError(f"what moorage is forked from ended with {self._process.returncode}")
        self.stub.parent.mkdir()
        self.stub.write_text(_STUB.format(python=sys.executable, address=str(address)))
        self.stub.chmod(0o755)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def stub(self) -> Path:
        """The program that does as `moorage` does."""
        return self.folder / "bin" / "moorage"

    def start(self, *args: str, cwd: Path, env: Mapping[str, str], log: Path) -> "Forked":
        """Start `moorage` with arguments, and do not wait for its end."""
        parts = [str(cwd), str(len(args)), *args, *(f"{name}={value}" for name, value in env.items())]
        data = "\0".join(parts).encode()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.folder / "zygote"))
        with log.open("ab") as written, Path(os.devnull).open("rb") as nothing:
            streams = [nothing.fileno(), written.fileno(), written.fileno()]
            socket.send_fds(connection, [struct.pack("!Q", len(data))], streams)
        connection.sendall(data)
        return Forked(connection, struct.unpack("!Q", _exactly(connection, 8))[0])


@dataclass(frozen=True)
class Forked:
    """A process that runs."""

    connection: socket.socket
    pid: int

    def stop(self) -> None:
        """End it (SIGTERM), and wait for that."""
        os.kill(self.pid, signal.SIGTERM)
        with self.connection:
            self.connection.recv(1)


def _serve(address: str) -> None:
    # Whatever a command needs, so that none has to import it.
    import registry.cli.client
    import registry.cli.local
    import registry.serving.worker  # noqa: F401 - the same
    from registry.cli import main

    context = click.Context(main)
    for name in main.list_commands(context):
        main.get_command(context, name)
    gc.collect()
    gc.freeze()  # memory that no collection touches stays shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.new")
        listening.listen(64)
        Path(f"{address}.new").rename(address)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _be(connection, main)
            connection.close()


def _be(connection: socket.socket, main: object) -> None:
    """Be what the connection says, tell it the exit code, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        args = _become(connection)
        main(args, prog_name="moorage")  # type: ignore[operator] # click's own type says less
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except BaseException:  # noqa: BLE001 - the zygote's loop is below on the stack
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send(bytes([code & 255]))
        os._exit(code & 255)


def _become(connection: socket.socket) -> Sequence[str]:
    """Take over streams, folder and environment; return the arguments."""
    head, streams, _, _ = socket.recv_fds(connection, 8, _STREAMS)
    connection.set_inheritable(False)
    parts = _exactly(connection, struct.unpack("!Q", head)[0]).decode().split("\0")
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    connection.sendall(struct.pack("!Q", os.getpid()))
    folder, count = parts[0], int(parts[1])
    os.chdir(folder)
    os.environ.clear()
    for entry in parts[2 + count :]:
        name, _, value = entry.partition("=")
        os.environ[name] = value
    sys.path[:0] = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115 - they last as long as the process
    return parts[2 : 2 + count]


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = connection.recv(count - len(found))
        if not part:
            raise EOFError("the other side is gone")
        found += part
    return found


if __name__ == "__main__":
    _serve(sys.argv[1])
