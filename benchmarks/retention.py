"""Retention over one repository of many tags: how long a plan and its run take, and the memory of the process.

``python -m benchmarks.retention`` fills a database with tags, signatures, indexes and untagged manifests, starts a
process that makes a plan by four rules and carries it out, and prints its seconds and its largest size.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from registry.access.actors import Actor
from registry.app import create_app
from registry.db.base import table
from registry.db.models import Manifest, ManifestChild, Namespace, Repository, Rule, Tag
from registry.digest import Digest
from registry.names import RepositoryName
from registry.schema import upgrade
from registry.services import Services
from registry.settings import Settings

SECONDS, MEGABYTES = 60.0, 200.0
"""What a plan and its run of 100,000 tags may take."""
_NAME = RepositoryName.parse("bench/retention")
_DAY = 86_400_000
_DAYS = 400
_ROWS_AT_ONCE = 5_000
_EACH_SECONDS = 0.05
_TYPE = "application/vnd.oci.image.manifest.v1+json"
_RULES: Mapping[str, Mapping[str, object]] = {
    "last-of-main": {"select": ["main-*"], "keep": {"last": 1000}},
    "young": {"select": {"include": ["*"], "exclude": ["v*"]}, "keep": {"younger_than": "30d"}},
    "in-use": {"select": ["*"], "keep": {"pulled_within": "20d"}},
    "released": {"select": ["re:v[0-9]+\\.[0-9]*0"], "keep": {"always": True}},
    "rest": {"for": "untagged", "keep": {"younger_than": "7d", "last": 500}},
}


def main() -> int:
    """Measure as the command line says; return the exit status."""
    parse = argparse.ArgumentParser(prog="python -m benchmarks.retention", description=__doc__)
    parse.add_argument("--tags", type=int, default=100_000, help="so many (100000)")
    parse.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where the data go (/var/tmp)")
    parse.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parse.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # what the second process is started with
    options = parse.parse_args()
    if options.measure is not None:
        print(json.dumps(_measured(options.measure)))
        return 0
    with tempfile.TemporaryDirectory(prefix="moorage-bench-", dir=options.directory) as folder:
        _fill(Path(folder), options.tags)
        argv = [sys.executable, "-m", "benchmarks.retention", "--measure", folder]
        found = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)
    print(f"{options.tags:,} tags: plan {found['plan']:.1f} s, run {found['run']:.1f} s")
    print(f"{found['megabytes']:.0f} MB at most, {found['mapped']:.0f} MB with the database file as it is mapped")
    print(f"named {found['named']:,}, removed {found['removed']:,}, skipped {found['skipped']:,}")
    missed = found["plan"] + found["run"] > SECONDS or found["megabytes"] > MEGABYTES
    return 1 if options.check and missed else 0


def _services(folder: Path) -> Services:
    services: Services = create_app(Settings(data=folder, storage_url="memory:")).extensions["moorage"]
    return services


def _measured(folder: Path) -> Mapping[str, object]:
    retention, actor = _services(folder).retention, Actor()
    own = [_own_megabytes()]
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(over, own))
    watch.start()
    start = time.perf_counter()
    plan = retention.plan(actor, _NAME)
    planned = time.perf_counter()
    result = retention.run(actor, _NAME, plan.id)
    end = time.perf_counter()
    over.set()
    watch.join()
    return {
        "plan": planned - start,
        "run": end - planned,
        "megabytes": max(own),
        "mapped": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "named": sum(count for name, count in plan.counts.items() if name.endswith("remove")),
        "removed": result.tags + result.manifests,
        "skipped": result.skips,
    }


def _watch(over: threading.Event, own: list[float]) -> None:
    while not over.wait(_EACH_SECONDS):
        own.append(_own_megabytes())


def _own_megabytes() -> float:
    """Return the process's memory without files it maps: those pages are the kernel's cache of the database."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def _fill(folder: Path, tags: int) -> None:
    """Write rows as pushes would have: a fifth of the tags are signatures, a tenth of the images have two children."""
    app = create_app(Settings(data=folder, storage_url="memory:"))
    upgrade(app)
    services: Services = app.extensions["moorage"]
    images = tags - tags // 5

    def work(connection: Connection) -> None:
        connection.execute(insert(table(Namespace)).values(id=1, name=_NAME.namespace))
        connection.execute(
            insert(table(Repository)).values(
                id=1, namespace_id=1, name=_NAME.value, current=1, kind="hosted", description="", created_ms=0
            )
        )
        connection.execute(insert(table(Rule)), list(_rules()))
        now = services.database.now(connection)
        rows = itertools.chain(
            _images(images, now), _signatures(images, tags - images, now), _untagged(2 * tags, tags // 10, now)
        )
        while part := list(itertools.islice(rows, _ROWS_AT_ONCE)):
            for model in (Manifest, ManifestChild, Tag):
                mine = [values for kind, values in part if kind is model]
                if mine:
                    connection.execute(insert(table(model)), mine)

    services.database.write(work)
    services.database.close_idle()


def _rules() -> Iterator[Mapping[str, object]]:
    for name, definition in _RULES.items():
        yield {
            "name": name,
            "kind": "retention",
            "definition": json.dumps(definition),
            "actor": "bench",
            "created_ms": 0,
            "updated_ms": 0,
        }


_Row = tuple[type, Mapping[str, Any]]


def _images(count: int, now: int) -> Iterator[_Row]:
    for serial in range(count):
        came = now - serial * _DAYS * _DAY // count
        names = (f"main-{serial:06}", f"v{serial // 10}.{serial % 10}0", f"pr-{serial:06}")
        yield _manifest(serial, came, pulled=now - serial % 50 * _DAY)
        yield _tag(names[serial % 3], serial, came)
        for child in range(2 if serial % 10 == 0 else 0):
            yield _manifest(4 * count + 2 * serial + child, came)
            yield (
                ManifestChild,
                {
                    "manifest_id": serial + 1,
                    "digest": _digest(4 * count + 2 * serial + child),
                    "repository_id": 1,
                },
            )


def _signatures(images: int, count: int, now: int) -> Iterator[_Row]:
    for serial in range(count):
        came = now - serial * _DAYS * _DAY // images
        yield _manifest(images + serial, came)
        yield _tag(_digest(serial).replace(":", "-") + ".sig", images + serial, came)


def _untagged(first: int, count: int, now: int) -> Iterator[_Row]:
    for serial in range(count):
        yield _manifest(first + serial, now - 2 * _DAY - serial * 30 * _DAY // count, pin=True)


def _digest(serial: int) -> str:
    return str(Digest.of(serial.to_bytes(8, "big")))


def _manifest(serial: int, came: int, *, pulled: int | None = None, pin: bool = False) -> _Row:
    return Manifest, {
        "id": serial + 1,
        "repository_id": 1,
        "digest": _digest(serial),
        "media_type": _TYPE,
        "size": 500,
        "artifact_type": "",
        "config_media_type": "",
        "subject_digest": "",
        "annotations": "{}",
        "layers_size": 0,
        "actor": "bench",
        "untagged_pin": pin,
        "label_pin": False,
        "lease_until": came,
        "created_ms": came,
        "deleted_at": None,
        "last_pulled_at": pulled,
        "payload": os.urandom(500),
    }


def _tag(name: str, serial: int, came: int) -> _Row:
    return Tag, {
        "repository_id": 1,
        "name": name,
        "manifest_id": serial + 1,
        "digest": _digest(serial),
        "lifetime_start_ms": came,
        "current": 1,
        "reversion": False,
        "immutable": False,
        "label_immutable": False,
        "actor": "bench",
    }


if __name__ == "__main__":
    sys.exit(main())
