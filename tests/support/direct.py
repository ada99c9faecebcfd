"""An app whose services are called directly, without HTTP, on a clock that a test turns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from flask import Flask
from sqlalchemy import text

from registry.access.actors import Actor
from registry.collection.collector import Collected
from registry.content.blobs import StoredBlob
from registry.digest import Digest
from registry.hooks import ListsKeys
from registry.manifests.creator import CreatedManifest
from registry.manifests.reader import Accepted, ServedManifest
from registry.manifests.tagging import TagEnd, TagWish
from registry.names import RepositoryName, TagName, parse_reference
from registry.repositories.history import HistoryFilter, TagPeriod
from registry.repositories.rules import RuleRow, Scope
from registry.revisions import Condition
from registry.services import Services
from registry.storage.filesystem import FilesystemStorage
from registry.storage.memory import MemoryStorage
from registry.testing.images import Blob, Manifest

ANYTHING = Accepted((), anything=True)
NOON = 1_709_208_000_000
"""Where the clock of a test starts: 2024-02-29, 12:00 UTC."""


@dataclass
class ManualClock:
    """A clock that stands still until it is turned; milliseconds since 1970."""

    now: int = NOON

    def __call__(self) -> int:
        return self.now

    def turn(self, *, seconds: float = 0, ms: int = 0) -> None:
        """Go on by this long."""
        self.now += round(seconds * 1000) + ms


@dataclass
class Pieces:
    """A request's body made of pieces; what is callable among them runs between two."""

    pieces: Iterable[Any]
    length: int | None = None

    def __post_init__(self) -> None:
        self._left = iter(self.pieces)

    def read(self, size: int) -> bytes:
        """Return the next piece; they are small, so `size` never cuts one."""
        for piece in self._left:
            if callable(piece):
                piece()
            else:
                if len(piece) > size:
                    raise AssertionError(f"a piece of {len(piece)} bytes does not fit into {size}")
                return cast("bytes", piece)
        return b""


def body(data: bytes) -> Pieces:
    """Return a body that announces its length."""
    return Pieces([data] if data else [], len(data))


@dataclass
class Direct:
    """The services of one app, with the repository that most tests use."""

    app: Flask
    clock: ManualClock
    repository: RepositoryName = field(default_factory=lambda: RepositoryName.parse("team/app"))
    actor: Actor = field(default_factory=Actor)

    @property
    def services(self) -> Services:
        """The app's services."""
        return cast("Services", self.app.extensions["moorage"])

    def start_anew(self) -> None:
        """Be as it was made: at noon, without what tests put in the place of methods; a memory storage is empty."""
        storage = self.services.storage
        if isinstance(storage, MemoryStorage | FilesystemStorage):
            roots = [storage._root] if isinstance(storage, FilesystemStorage) else []
            vars(storage).clear()
            storage.__init__(*roots)  # type: ignore[misc] # it is as it was made
        self.clock.now = NOON
        self.repository, self.actor = RepositoryName.parse("team/app"), Actor()

    def copied(self) -> dict[str, Any]:
        """Return all content, of SQLite and the memory storage, for :meth:`put_back`."""
        self.services.database.close_idle()
        storage = {name: dict(held) for name, held in vars(self.services.storage).items() if isinstance(held, dict)}
        return {"database": self._database_file().read_bytes(), "storage": storage}

    def put_back(self, database: bytes, storage: Mapping[str, dict[str, Any]]) -> None:
        """Have the content that :meth:`copied` returned, here or of another app."""
        self.services.database.close_idle()
        self._database_file().write_bytes(database)
        vars(self.services.storage).update({name: dict(held) for name, held in storage.items()})

    def _database_file(self) -> Path:
        return Path(self.services.settings.database_url.removeprefix("sqlite:///"))

    def upload(self, blob: Blob, repository: RepositoryName | None = None) -> StoredBlob:
        """Push a blob in one request."""
        return self.services.uploads.push(
            self.actor, repository or self.repository, Digest.parse(blob.digest), body(blob.data)
        )

    def put(
        self, manifest: Blob, *tags: str, digest: bool = False, repository: RepositoryName | None = None
    ) -> CreatedManifest:
        """Push a manifest's bytes alone, under tags; with `digest` its digest is claimed."""
        return self.services.creator.create(
            self.actor,
            repository or self.repository,
            manifest.media_type,
            manifest.data,
            digest=Digest.parse(manifest.digest) if digest else None,
            tags=[TagName.parse(tag) for tag in tags],
        )

    def push(self, manifest: Manifest, *tags: str, repository: RepositoryName | None = None) -> CreatedManifest:
        """Push a manifest with all it needs."""
        for part in manifest.walk():
            if part is manifest:
                break
            if isinstance(part, Manifest):
                self.put(part, repository=repository)
            else:
                self.upload(part, repository)
        return self.put(manifest, *tags, repository=repository)

    def get(self, reference: str, accepted: Accepted = ANYTHING) -> ServedManifest:
        """Pull a manifest by tag or digest."""
        return self.services.reader.get(self.actor, self.repository, parse_reference(reference), accepted)

    def lookup(self, manifest: Blob, *, allow_dead: bool = False) -> int | None:
        """Look a manifest up as the core does before it uses one."""
        return self.services.reader.lookup(
            self.actor, self.repository, Digest.parse(manifest.digest), allow_dead=allow_dead
        )

    def delete_tag(self, tag: str) -> None:
        """Delete a tag."""
        self.services.tags.delete(self.actor, self.repository, TagName.parse(tag), Condition())

    def delete_manifest(self, manifest: Blob) -> None:
        """Delete a manifest by digest."""
        self.services.deletion.delete(self.actor, self.repository, Digest.parse(manifest.digest))

    def tags(self) -> list[str]:
        """Return the names of living tags."""
        return list(self.services.tags.list(self.actor, self.repository, 1000, "").items)

    def blob_bytes(self, digest: str) -> bytes:
        """Pull a blob."""
        found = self.services.blobs.find(self.actor, self.repository, Digest.parse(digest))
        return b"".join(self.services.blobs.read(found))

    def rows(self, statement: str, **values: object) -> list[Any]:
        """Return rows of the database."""
        with self.services.database.read() as connection:
            return list(connection.execute(text(statement), values).all())

    def column(self, statement: str, **values: object) -> list[Any]:
        """Return the first column of some rows."""
        return [row[0] for row in self.rows(statement, **values)]

    def change(self, statement: str, **values: object) -> None:
        """Change rows of the database behind the services' back."""
        self.services.database.write(lambda connection: connection.execute(text(statement), values))

    def periods(self, tag: str) -> Sequence[Any]:
        """Return a tag's periods, oldest first: digest, start, end, current."""
        return self.rows(
            "SELECT digest, lifetime_start_ms AS start, lifetime_end_ms AS ending, current FROM tag"
            " WHERE name = :tag ORDER BY lifetime_start_ms",
            tag=tag,
        )

    def labels(self, manifest: Blob) -> Mapping[str, Any]:
        """Return a manifest's label rows by key."""
        rows = self.rows(
            "SELECT key, value, label.media_type, source, warning FROM label"
            " JOIN manifest ON manifest.id = label.manifest_id WHERE digest = :digest",
            digest=manifest.digest,
        )
        return {row.key: row for row in rows}

    def collect(self) -> Collected:
        """Look at all that is due now, and remove the bytes that go."""
        done = self.services.collector.run()
        self.services.deletions.drain()
        return done

    def collect_all(self) -> Collected:
        """Collect, and go on until no review comes within a grace time: what loses its hold by that goes then."""
        done = self.collect()
        while self.column(
            "SELECT 1 FROM gc_review WHERE due_ms <= :soon LIMIT 1",
            soon=self.clock.now + self.services.settings.grace_seconds * 1000,
        ):
            self.clock.turn(seconds=self.services.settings.grace_seconds)
            done.add(self.collect())
        return done

    def live_until(self, time_ms: int) -> None:
        """Turn the clock to a time, while a worker collects all along."""
        while due := self.column("SELECT min(due_ms) FROM gc_review WHERE due_ms <= :end", end=time_ms)[0]:
            self.clock.now = max(self.clock.now, due)
            self.collect()
        self.clock.now = time_ms
        self.collect()

    def content(self) -> dict[str, int]:
        """Count what is stored: rows by table, and keys in the memory storage."""
        tables = (
            "manifest",
            "repository_blob",
            "blob",
            "upload",
            "legacy_image",
            "label",
            "gc_review",
            "storage_deletion",
        )
        counts = {name: self.column(f"SELECT count(*) FROM {name}")[0] for name in tables}
        storage = self.services.storage
        if isinstance(storage, MemoryStorage):
            return {**counts, "keys": len(storage._blobs)}
        return {**counts, "keys": len({one.key for one in cast("ListsKeys", storage).list_keys()})}

    def tag(self, name: str) -> TagPeriod:
        """Return a living tag."""
        return self.services.history.describe(self.actor, self.repository, TagName.parse(name))

    def history(self, tag: str | None = None, limit: int = 1000) -> list[TagPeriod]:
        """Return periods, newest first."""
        wanted = HistoryFilter(None if tag is None else TagName.parse(tag))
        return list(self.services.history.history(self.actor, self.repository, wanted, limit, None).items)

    def restore(self, tag: str, *, time_ms: int | None = None, digest: str | None = None) -> TagPeriod:
        """Put a tag back."""
        return self.services.changes.restore(
            self.actor,
            self.repository,
            TagName.parse(tag),
            digest=None if digest is None else Digest.parse(digest),
            time_ms=time_ms,
            condition=Condition(),
        )

    def expire(self, tag: str, at_ms: int | None) -> TagPeriod:
        """Give a tag an end."""
        return self.change_tag(tag, TagWish(TagEnd(at_ms)))

    def protect(self, tag: str, *, immutable: bool = True) -> TagPeriod:
        """Make a tag immutable, or not."""
        return self.change_tag(tag, TagWish(immutable=immutable))

    def change_tag(self, tag: str, wanted: TagWish, condition: Condition | None = None) -> TagPeriod:
        """Change a tag's end, its protection, or both."""
        name = TagName.parse(tag)
        return self.services.changes.change(self.actor, self.repository, name, wanted, condition or Condition())

    def move(self, tag: str, manifest: Blob) -> TagPeriod:
        """Point a tag at a manifest."""
        return self.services.changes.move(
            self.actor, self.repository, TagName.parse(tag), Digest.parse(manifest.digest), Condition()
        )

    def rule(self, name: str, kind: str, definition: Mapping[str, object], scope: Scope | None = None) -> RuleRow:
        """Make a rule for the repository, or for another scope."""
        return self.services.rules.create(self.actor, name, kind, scope or Scope(self.repository), definition)

    def assert_sound(self, *, deep: bool = False) -> None:
        """Check everything; raise AssertionError with all that is wrong."""
        report = self.services.fsck.run(self.actor, deep=deep)
        wrong = [one for one in report.findings if one.severity == "error"]
        if wrong:
            raise AssertionError("\n".join(f"{one.kind}: {one.subject}: {one.detail}" for one in wrong))
