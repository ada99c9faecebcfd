"""Tags in a repository that has seen much: each request against 100,000 tags and a million ended periods.

``python -m benchmarks.lifetimes`` fills two databases, calls the services of both in turn, and prints the median of
each call in the nearly empty one and in the full one.
"""

import argparse
import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, insert

from benchmarks.content import MANIFEST, Image, manifest, small_image
from registry.access.actors import Actor
from registry.app import create_app
from registry.db.base import table
from registry.db.models import Manifest, Tag
from registry.digest import Digest
from registry.manifests.reader import Accepted
from registry.names import RepositoryName, TagName
from registry.repositories.history import HistoryFilter
from registry.revisions import Condition
from registry.schema import upgrade
from registry.services import Services
from registry.settings import Settings
from tests.support.direct import body

LIMIT = 1.3
"""How many times the cost in an empty registry may be."""
_NAME, _ACTOR = RepositoryName.parse("bench/lives"), Actor()
_HOT = TagName.parse("tag-000050")
_LEAST_TAGS, _LEAST_DEAD = 200, 300
_PAGE = 100
_ROWS_AT_ONCE = 5_000
_DAY = 86_400_000


class _Registry:
    """A registry whose repository has so many tags and ended periods, and the calls that are compared."""

    def __init__(self, folder: Path, tags: int, dead: int) -> None:
        folder.mkdir()
        app = create_app(Settings(data=folder, storage_url="memory:"))
        upgrade(app)
        self.services: Services = app.extensions["moorage"]
        image = small_image()
        for blob in image.blobs:
            self.services.uploads.push(_ACTOR, _NAME, Digest.parse(blob.digest), body(bytes(blob.data)))
        self._two = [self._put(image, str(number), _HOT) for number in range(2)]
        self.services.database.write(lambda connection: self._fill(connection, tags, dead))
        self._turn = itertools.cycle(self._two)

    def _put(self, image: Image, note: str, *tags: TagName) -> Digest:
        made = manifest(image.config, image.layers, note)
        self.services.creator.create(_ACTOR, _NAME, MANIFEST, bytes(made.data), tags=tags)
        return Digest.parse(made.digest)

    def _fill(self, connection: Connection, tags: int, dead: int) -> None:
        now = self.services.database.now(connection)
        first = connection.execute(insert(table(Manifest)).returning(Manifest.id), _manifest(0, now)).scalar_one()
        manifests = (_manifest(number, now) for number in range(1, tags))
        rows = itertools.chain(_living(first, now, tags), _ended(first, now, tags, dead))
        for model, values in ((Manifest, manifests), (Tag, rows)):
            while part := list(itertools.islice(values, _ROWS_AT_ONCE)):
                connection.execute(insert(table(model)), part)

    def pull(self) -> None:
        """Pull by tag."""
        self.services.reader.get(_ACTOR, _NAME, _HOT, Accepted((), anything=True))

    def missing(self) -> None:
        """Ask for a tag whose life ended."""
        with contextlib.suppress(Exception):
            self.services.reader.get(_ACTOR, _NAME, TagName.parse("gone-000001"), Accepted((), anything=True))

    def page(self) -> None:
        """Get a page of tags."""
        self.services.tags.list(_ACTOR, _NAME, _PAGE, "tag-000020")

    def history(self) -> None:
        """Get a page of the repository's history."""
        self.services.history.history(_ACTOR, _NAME, HistoryFilter(), _PAGE, None)

    def history_of_tag(self) -> None:
        """Get a page of one tag's history."""
        self.services.history.history(_ACTOR, _NAME, HistoryFilter(tag=_HOT), _PAGE, None)

    def as_of(self) -> None:
        """Look up what a tag stood for."""
        with self.services.database.read() as connection:
            now = self.services.database.now(connection)
        self.services.history.describe_as_of(_ACTOR, _NAME, _HOT, now)

    def restore(self) -> None:
        """Put a tag back to what it stood for before."""
        self.services.changes.restore(_ACTOR, _NAME, _HOT, digest=next(self._turn), time_ms=None, condition=Condition())

    def review(self) -> None:
        """Let the collector look at one manifest that a tag holds."""
        self.services.database.write(self._queue)
        self.services.collector.run()

    def _queue(self, connection: Connection) -> None:
        connection.exec_driver_sql(
            "INSERT INTO gc_review (kind, repository_id, target, due_ms)"
            " SELECT 'manifest', repository_id, manifest_id, 0 FROM tag"
            " WHERE repository_id = 1 AND name = 'tag-000051' AND current = 1"
        )


_CALLS: Mapping[str, tuple[Callable[[_Registry], None], int]] = {
    "pull by tag": (_Registry.pull, 300),
    "tag that ended": (_Registry.missing, 200),
    "page of tags": (_Registry.page, 100),
    "history page": (_Registry.history, 60),
    "history page of a tag": (_Registry.history_of_tag, 60),
    "what a tag stood for": (_Registry.as_of, 100),
    "restore": (_Registry.restore, 60),
    "one review": (_Registry.review, 60),
}


def main() -> int:
    """Measure as the command line says; return the exit status."""
    parse = argparse.ArgumentParser(prog="python -m benchmarks.lifetimes", description=__doc__)
    parse.add_argument("--tags", type=int, default=100_000, help="so many (100000)")
    parse.add_argument("--dead", type=int, default=1_000_000, help="ended periods (1000000)")
    parse.add_argument("--rounds", type=int, default=5, help="rounds, in turn (5)")
    parse.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where the data go (/var/tmp)")
    parse.add_argument("--check", action="store_true", help="exit with 1 where the target is missed")
    options = parse.parse_args()
    with tempfile.TemporaryDirectory(prefix="moorage-bench-", dir=options.directory) as folder:
        empty = _Registry(Path(folder) / "empty", _LEAST_TAGS, _LEAST_DEAD)
        full = _Registry(Path(folder) / "full", options.tags, options.dead)
        missed = _compare(empty, full, options.rounds)
    return 1 if options.check and missed else 0


def _compare(empty: _Registry, full: _Registry, rounds: int) -> int:
    """Print a row for each call; return how many missed the target."""
    shown = Table(title=f"Growth of periods: at most {LIMIT} times the cost")
    for heading in ("call", "empty, µs", "full, µs", "ratio", "verdict"):
        shown.add_column(heading, justify="left" if heading == "call" else "right")
    missed = 0
    for name, (call, times) in _CALLS.items():
        samples: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for registry, sample in zip((empty, full), samples, strict=True):
                sample.extend(_seconds(call, registry, times))
        before, after = (1e6 * statistics.median(sample) for sample in samples)
        missed += after > LIMIT * before
        verdict = "met" if after <= LIMIT * before else "missed"
        shown.add_row(name, f"{before:,.0f}", f"{after:,.0f}", f"{after / before:.2f}", verdict)
    Console(width=100).print(shown)
    return missed


def _seconds(call: Callable[[_Registry], None], registry: _Registry, times: int) -> Iterator[float]:
    for _ in range(times):
        begin = time.perf_counter()
        call(registry)
        yield time.perf_counter() - begin


def _manifest(number: int, now: int) -> Mapping[str, object]:
    return {
        "repository_id": 1,
        "digest": _digest(number),
        "media_type": MANIFEST,
        "size": 2,
        "artifact_type": "",
        "config_media_type": "",
        "subject_digest": "",
        "annotations": "{}",
        "layers_size": 0,
        "actor": "bench",
        "untagged_pin": False,
        "label_pin": False,
        "lease_until": now - _DAY,
        "created_ms": now - _DAY,
        "payload": b"{}",
    }


def _digest(number: int) -> str:
    return str(Digest.of(number.to_bytes(8, "big")))


def _living(first: int, now: int, count: int) -> Iterator[Mapping[str, object]]:
    for number in range(count):
        name = f"tag-{number:06}"
        if name != _HOT.value:
            yield _period(first, number, name, now - _DAY - number, None)


def _ended(first: int, now: int, tags: int, count: int) -> Iterator[Mapping[str, object]]:
    """Yield ended periods: of tags that live, and as many of tags that are gone."""
    for number in range(count):
        turn, of = divmod(number, tags)
        start = now - 3 * _DAY - 2 * number
        yield _period(first, of, f"{'tag' if turn % 2 else 'gone'}-{of:06}", start, start + 1)


def _period(first: int, number: int, name: str, start: int, end: int | None) -> Mapping[str, object]:
    return {
        "repository_id": 1,
        "manifest_id": first + number,
        "digest": _digest(number),
        "actor": "bench",
        "name": name,
        "lifetime_start_ms": start,
        "lifetime_end_ms": end,
        "current": 1 if end is None else None,
        "reversion": False,
        "immutable": False,
        "label_immutable": False,
        "end_reason": None if end is None else "deleted",
    }


if __name__ == "__main__":
    sys.exit(main())
