"""The servers measured, each set up as its documentation advises."""

import contextlib
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import noop
from tests.support.ports import free_port
from tests.support.processes import Child
from tests.support.server import MoorageServer
from tests.support.tools import find_tool

MOORAGE = "moorage"
PLAIN = "without plugins"
"""Moorage beside itself with ten plugins that do nothing."""
_CHECKOUT = Path(__file__).resolve().parents[1]

_DISTRIBUTION = """\
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: {data}
  delete:
    enabled: true
http:
  addr: 127.0.0.1:{port}
  secret: benchmark
"""


@dataclass(frozen=True)
class Running:
    """A server that answers: its name, its port, and the process group it runs in."""

    name: str
    port: int
    group: int


@dataclass(frozen=True)
class Peer:
    """Another registry: the program, as tools are found, and what `make tools` calls it."""

    name: str
    program: str


PEERS = (Peer("v2.8.2", "docker-registry"), Peer("v3.1.1", "registry-v3"))


class _Defaults(MoorageServer):
    """Moorage as `moorage serve` starts it: how many workers and threads is its own decision."""

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "registry", "serve", "--listen", self.host, "--data", str(self.data)]


@contextlib.contextmanager
def moorage(folder: Path, name: str = MOORAGE, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Run Moorage with its data under the folder."""
    with _Defaults(folder / name.replace(" ", "-"), env=env or {}) as server:
        yield Running(name, server.port, server.pid)


@contextlib.contextmanager
def earlier(commit: str, folder: Path) -> Iterator[Running]:
    """Run Moorage as it was at a commit of this checkout, with its data under the folder.

    It is installed by itself, so that it finds its own plugins, and shares the libraries of this environment.
    """
    source, installed = folder / "earlier-source", folder / "earlier"
    source.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=_CHECKOUT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, "-m", "pip", *install, "--target", str(installed), str(source)], check=True)
    with _Defaults(folder / f"data-{commit}", cwd=installed) as server:
        yield Running(commit, server.port, server.pid)


@contextlib.contextmanager
def distribution(peer: Peer, program: str, folder: Path) -> Iterator[Running]:
    """Run a version of distribution with its data under the folder."""
    data = folder / peer.name
    data.mkdir()
    port = free_port()
    config = folder / f"{peer.name}.yml"
    config.write_text(_DISTRIBUTION.format(data=data, port=port))
    child = Child(
        argv=[program, "serve", str(config)],
        log=folder / f"{peer.name}.log",
        ready=lambda: _answers(port),
        # Version 3 would send traces to a collector that is not there.
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
    )
    with child:
        yield Running(peer.name, port, child.pid)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def start_all(stack: contextlib.ExitStack, folder: Path, names: list[str], against: str | None = None) -> list[Running]:
    """Start the servers of these names, and Moorage as it was at the commit `against`.

    Where that is `PLAIN`, Moorage has ten plugins that do nothing, and runs beside itself without them.
    A peer that is not installed is named on stderr and left out.
    """
    running = []
    if MOORAGE in names:
        env = noop.install(folder / "noop") if against == PLAIN else {}
        running.append(stack.enter_context(moorage(folder, env=env)))
    if against == PLAIN:
        running.append(stack.enter_context(moorage(folder, PLAIN)))
    elif against is not None:
        running.append(stack.enter_context(earlier(against, folder)))
    for peer in PEERS:
        if peer.name not in names:
            continue
        program = find_tool(peer.program)
        if program is None:
            print(f"{peer.name} is left out: {peer.program} is not installed (`make tools`)", file=sys.stderr)
            continue
        running.append(stack.enter_context(distribution(peer, program, folder)))
    return running
