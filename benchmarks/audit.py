"""What the audit log costs: pulls and pushes with tokens, and how fast entries are sealed and checked.

``python -m benchmarks.audit --before CHECKOUT`` runs a registry of this checkout beside one of another, such as the
commit before the audit log, each with a worker, and sends both the same requests in turns. Without ``--before`` it
tells only how fast entries are sealed and checked.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import Connection

from benchmarks.calls import push_image
from benchmarks.content import ACCEPT, MANIFEST, Image, manifest, small_image
from benchmarks.pump import pump
from benchmarks.wire import Client, encode
from registry.access.actors import Actor
from registry.app import create_app
from registry.audit.checking import Checker
from registry.audit.entries import write
from registry.audit.log import BEFORE_ALL, AuditFilter, read
from registry.audit.sealing import Sealer
from registry.schema import upgrade
from registry.settings import Settings
from tests.support.access import AUTHENTICATION, PASSWORD
from tests.support.server import MoorageServer

MOST_LOST = 0.05
"""The share of either rate that the audit log may take."""
_HERE = Path(__file__).resolve().parents[1]
_REPOSITORY = "bench/audited"
_PREPARE = """
import sys, pathlib
from tests.support.access import prepare
prepare(pathlib.Path(sys.argv[1]), {"ann": {"to": ["user:ann"], "on": ["bench/*"], "role": "push"}}, users=("ann",))
"""
_SLICE_SECONDS = 1.0
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Side:
    """One of the two servers, the token for its requests, and what they are about."""

    port: int
    token: str
    image: Image

    def pull_rate(self) -> float:
        """Return how many manifests a second are pulled by their tag."""
        return self._rate(itertools.repeat(self._request("GET", "latest", {"Accept": ACCEPT})), 200)

    def push_rate(self) -> float:
        """Return how many new manifests a second are pushed, each to a tag of its own."""
        return self._rate(self._pushes(), 201)

    def _pushes(self) -> Iterator[bytes]:
        for number in _NUMBERS:
            data = bytes(manifest(self.image.config, self.image.layers, str(number)).data)
            yield self._request("PUT", f"v{number}", {"Content-Type": MANIFEST}, len(data)) + data

    def _request(self, method: str, reference: str, headers: dict[str, str], length: int | None = None) -> bytes:
        asking = {**headers, "Authorization": f"Bearer {self.token}"}
        return encode(self.port, method, f"/v2/{_REPOSITORY}/manifests/{reference}", asking, length)

    def _rate(self, requests: Iterator[bytes], status: int) -> float:
        pumped = pump(self.port, requests, status, seconds=_SLICE_SECONDS)
        return pumped.count / pumped.seconds


def start(stack: ExitStack, checkout: Path, data: Path) -> Side:
    """Return a server of a checkout, with a worker, that runs until the end."""
    env = {"PYTHONPATH": f"{checkout}{os.pathsep}{checkout / 'plugins'}"}
    image = small_image()
    with MoorageServer(data, env=env, cwd=checkout) as server, Client(server.port) as client:
        push_image(client, _REPOSITORY, image, "latest")
    command = [sys.executable, "-c", _PREPARE, str(data)]
    subprocess.run(command, check=True, cwd=checkout, env={**os.environ, **env})
    guarded = {**env, **AUTHENTICATION, "MOORAGE_TOKEN_LIFETIME": "1h"}
    server = stack.enter_context(MoorageServer(data, workers=2, env=guarded, cwd=checkout, worker=True))
    scope = {"scope": f"repository:{_REPOSITORY}:pull,push"}
    answer = httpx.get(f"{server.url}/token", params=scope, auth=("ann", PASSWORD), timeout=60)
    answer.raise_for_status()
    return Side(server.port, str(answer.json()["token"]), image)


def compare(folder: Path, before: Path, rounds: int) -> bool:
    """Print what pulls and pushes lose against another checkout; returns whether that is little enough."""
    rates: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        sides = {"now": start(stack, _HERE, folder / "now"), "before": start(stack, before, folder / "before")}
        for lap in range(rounds):
            for name, side in sorted(sides.items(), reverse=bool(lap % 2)):  # neither always comes first
                rates.setdefault(("pulls", name), []).append(side.pull_rate())
                rates.setdefault(("pushes", name), []).append(side.push_rate())
    met = True
    for what in ("pulls", "pushes"):
        now, then = (statistics.median(rates[what, name]) for name in ("now", "before"))
        print(f"{what} with a token: {now:.0f} a second, {then:.0f} before: {now / then:.3f} (least {1 - MOST_LOST})")
        met = met and now / then >= 1 - MOST_LOST
    return met


def seal(folder: Path, count: int) -> None:
    """Print how many entries a second are sealed, and how many records are read and checked."""
    app = create_app(Settings(data=folder))
    upgrade(app)
    database = app.extensions["moorage"].database
    actor = Actor("ann", "192.0.2.7", "benchmark/1", request_id="0123456789abcdef")

    def fill(connection: Connection) -> None:
        for number in range(count):
            write(database, connection, actor, "policy.changed", f"rule{number}", {"definition": {"to": ["everybody"]}})

    database.write(fill)
    sealer = Sealer(database)
    started = time.perf_counter()
    while database.write(sealer.seal):
        pass
    print(f"sealed: {count / (time.perf_counter() - started):.0f} entries a second")
    checker, started = Checker(), time.perf_counter()
    key = BEFORE_ALL
    with database.read() as connection:
        while records := read(connection, AuditFilter(), 1000, key, oldest=True):
            for record in records:
                checker.take(record.as_json())
            key = records[-1].position
    print(f"checked: {checker.count / (time.perf_counter() - started):.0f} records a second")
    database.close_idle()


def main() -> int:
    """Measure, and return 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")
    parser.add_argument("--count", type=int, default=50_000, help="entries to seal (50000)")
    parser.add_argument("--rounds", type=int, default=15, help="times each rate is measured (15)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where the data go (/var/tmp)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        seal(Path(folder) / "seal", options.count)
        return 0 if options.before is None or compare(Path(folder), options.before.resolve(), options.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
