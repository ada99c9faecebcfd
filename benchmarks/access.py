"""What access control costs: pulls with a token, decisions among many rules, and the catalog of who may see a part.

``python -m benchmarks.access`` runs one registry twice on copies of one data folder: open, and with authentication and
10,000 rules over 10,000 repositories. Both answer the same requests, in turns.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import Connection, func, insert, select

from benchmarks.calls import next_page, push_image
from benchmarks.content import ACCEPT, small_image
from benchmarks.pump import pump
from benchmarks.wire import Client, encode
from registry.access.actions import Action
from registry.access.actors import Actor
from registry.access.authorizer import AccessRequest
from registry.app import create_app
from registry.db.models import Manifest, Namespace, Repository
from registry.hooks import AuthorizationRequest, Denial, hookimpl
from registry.names import RepositoryName
from registry.settings import Settings
from tests.support.access import AUTHENTICATION, PASSWORD, prepare
from tests.support.server import MoorageServer

MOST_LOST, MOST_TIMES = 0.15, 1.5
"""The share of the pull rate that a token may take, and how many times longer a page of the catalog may take."""
_PULLED = "bench/pulled"
_SLICE_SECONDS = 1.0
_SPACES = 100
_PAGE = 1000


@dataclass(frozen=True)
class Side:
    """One of the two servers, and what its requests carry."""

    port: int
    headers: Mapping[str, str]


def definitions(count: int) -> Mapping[str, Mapping[str, object]]:
    """Return so many rules: for one repository, for a namespace, for a pattern, some that deny, some for tags."""
    rules: dict[str, Mapping[str, object]] = {}
    for number in range(count):
        space, repository = f"space{number % _SPACES}", f"space{number % _SPACES}/app{number}"
        whom = ["user:ann"] if number % 2 else [f"user:other{number % 50}"]
        match number % 5:
            case 0 | 1 | 2:
                rule: dict[str, object] = {"to": whom, "on": [repository], "role": "pull"}
            case 3:
                rule = {"to": whom, "on": [f"{space}/app{number}*"], "role": "push", "tags": ["v*"]}
            case _:
                rule = {"to": whom, "on": [f"{repository}-secret"], "effect": "deny"}
        rules[f"rule{number}"] = rule
    rules["all"] = {"to": ["user:ann"], "on": [_PULLED, "space1/*", "space2/*"], "role": "pull"}
    rules["most"] = {"to": ["user:bob"], "on": {"include": ["*"], "exclude": ["space3/*"]}, "role": "push"}
    return rules


def fill(data: Path, repositories: int) -> None:
    """Make repositories that hold the manifest of the one that is there, as rows alone."""
    app = create_app(Settings(data=data))
    database = app.extensions["moorage"].database
    columns = [column for column in Manifest.__table__.columns if column.name not in ("id", "repository_id")]

    def work(connection: Connection) -> None:
        first = connection.execute(select(Repository.id).where(Repository.name == _PULLED)).scalar_one()
        last = connection.execute(select(func.max(Repository.id))).scalar_one()
        connection.execute(insert(Namespace), [{"name": f"space{number}"} for number in range(_SPACES)])
        ids = dict(connection.execute(select(Namespace.name, Namespace.id)).all())
        rows = [
            {"namespace_id": ids[f"space{number % _SPACES}"], "name": f"space{number % _SPACES}/app{number}"}
            for number in range(repositories)
        ]
        made = {"current": 1, "kind": "hosted", "description": "", "created_ms": 0}
        connection.execute(insert(Repository), [{**row, **made} for row in rows])
        source = select(Repository.id, *columns).join(Manifest, Manifest.repository_id == first)
        copied = source.where(Repository.id > last)
        connection.execute(insert(Manifest).from_select(["repository_id", *columns], copied))

    database.write(work)
    database.close_idle()


class Silent:
    """A plugin that is asked about everything, and refuses nothing."""

    @hookimpl
    def authorize(self, requests: Sequence[AuthorizationRequest]) -> Sequence[Denial | None]:
        """Refuse nothing."""
        return [None for _ in requests]


def decide(data: Path, count: int, plugins: Sequence[object] = ()) -> float:
    """Return the median of a decision in microseconds, each about another repository or tag."""
    app = create_app(Settings(data=data, authentication=True), plugins)
    authorizer = app.extensions["moorage"].access.authorizer
    actor = Actor("ann")
    requests = [
        AccessRequest(actor, Action.PULL, RepositoryName(f"space{number % _SPACES}/app{number}"), f"v{number % 7}")
        for number in range(count)
    ]
    authorizer.authorize(requests[:1])
    took = []
    for request in requests:
        started = time.perf_counter()
        authorizer.authorize([request])
        took.append((time.perf_counter() - started) * 1e6)
    app.extensions["moorage"].database.close_idle()
    return statistics.median(took)


def pull_rate(side: Side, seconds: float) -> float:
    """Return how many manifests a second are pulled by their tag over 16 connections."""
    request = encode(side.port, "GET", f"/v2/{_PULLED}/manifests/latest", {"Accept": ACCEPT, **side.headers})
    pumped = pump(side.port, itertools.repeat(request), 200, seconds=seconds)
    return pumped.count / pumped.seconds


def page_seconds(side: Side) -> Sequence[float]:
    """Return how long each page of the catalog takes, in seconds."""
    took = []
    with Client(side.port) as client:
        target = f"/v2/_catalog?n={_PAGE}"
        while target:
            started = time.perf_counter()
            page = client.call("GET", target, 200, headers=side.headers)
            took.append(time.perf_counter() - started)
            target = next_page(page)
    return took


def page_time(rounds: Sequence[Sequence[float]]) -> float:
    """Return the median over all pages of the least time that each took: what else the machine does makes it longer."""
    least: list[float] = [min(times) for times in zip(*rounds, strict=True)]
    return statistics.median(least)


def sides(open_port: int, access_port: int) -> Mapping[str, Side]:
    """Return who asks: nobody where all is open, and two users with tokens for what they ask."""
    found = {"open": Side(open_port, {})}
    scope = {"scope": [f"repository:{_PULLED}:pull", "registry:catalog:*"]}
    for name in ("ann", "bob"):
        answer = httpx.get(f"http://127.0.0.1:{access_port}/token", params=scope, auth=(name, PASSWORD), timeout=60)
        answer.raise_for_status()
        found[name] = Side(access_port, {"Authorization": f"Bearer {answer.json()['token']}"})
    return found


def measure(folder: Path, count: int, rounds: int) -> bool:
    """Print the figures; returns whether all targets are met."""
    with MoorageServer(folder / "open", workers=2) as server, Client(server.port) as client:
        push_image(client, _PULLED, small_image(), "latest")
    fill(folder / "open", count)
    shutil.copytree(folder / "open", folder / "access")
    prepare(folder / "access", definitions(count), users=("ann", "bob", *(f"other{number}" for number in range(50))))
    print(f"a decision among {count} rules: {decide(folder / 'access', count):.1f} us (median of {count})")
    asking = decide(folder / "access", count, [Silent()])
    print(f"the same where a plugin is asked as well, and refuses nothing: {asking:.1f} us")
    rates: dict[str, list[float]] = {}
    times: dict[str, list[Sequence[float]]] = {}
    with (
        MoorageServer(folder / "open", workers=2) as plain,
        MoorageServer(folder / "access", workers=2, env=AUTHENTICATION) as guarded,
    ):
        found = sides(plain.port, guarded.port)
        for _ in range(rounds):
            for name in ("open", "ann"):
                rates.setdefault(name, []).append(pull_rate(found[name], _SLICE_SECONDS))
            for name, side in found.items():
                times.setdefault(name, []).append(page_seconds(side))
    lost = 1 - statistics.median(rates["ann"]) / statistics.median(rates["open"])
    print(f"manifest pulls with a token lose {lost:.1%} (most {MOST_LOST:.0%})")
    met = lost <= MOST_LOST
    for name in ("ann", "bob"):
        ratio = page_time(times[name]) / page_time(times["open"])
        met = met and ratio <= MOST_TIMES
        print(f"a page of the catalog for {name}: {ratio:.2f} times that of the open registry (most {MOST_TIMES})")
    return met


def main() -> int:
    """Measure, and return 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.access", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="rules, and repositories (10000)")
    parser.add_argument("--rounds", type=int, default=9, help="times each is measured (9)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where the data go (/var/tmp)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        return 0 if measure(Path(folder), options.count, options.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
