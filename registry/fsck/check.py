"""The whole check, one part after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.db.engine import Database
from registry.db.models import Manifest
from registry.fsck.content import ContentChecks
from registry.fsck.edges import EdgeChecks
from registry.fsck.findings import Finding, Report, Severity
from registry.fsck.manifests import ManifestChecks
from registry.fsck.orphans import OrphanChecks
from registry.fsck.repairs import Repairs
from registry.fsck.reviews import ReviewChecks
from registry.fsck.rows import blob_faults, member_faults
from registry.fsck.scanning import Fault, Scanner, Scope
from registry.fsck.tags import TAG_FAULTS, repository_faults
from registry.fsck.throttle import Throttle
from registry.fsck.uploads import deletion_faults, upload_faults
from registry.hooks.facade import Hooks
from registry.hooks.ports import StorageDriver
from registry.names import RepositoryName
from registry.repositories.repositories import require_repository

_DAY_MS = 86_400_000
Progress = Callable[[str, int, int], object]
"""Hears what is being checked, how far that is, and of how much (0: unknown)."""
Tell = Callable[[Finding], object]


def silent(*_: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the registry's settings say; times are in milliseconds.

    What ended stays restorable for ``window_ms``, unless its repository says otherwise; no lease is longer than
    ``lease_ms``; keys that changed in the last ``young_ms`` may be of an upload that is just coming; manifests may
    lack things where a repository does not forbid it (``allow_sparse``).
    """

    window_ms: int
    lease_ms: int
    young_ms: int
    allow_sparse: bool


class Fsck:
    """Checks a registry beside its running servers."""

    def __init__(
        self,
        database: Database,
        storage: StorageDriver,
        hooks: Hooks,
        authorizer: Authorizer,
        repairs: Repairs,
        terms: Terms,
    ) -> None:
        """Check on ``terms``, for those whom ``authorizer`` lets."""
        lease_ms = 2 * max(terms.lease_ms, _DAY_MS)  # what was leased under another setting is no fault
        self._database = database
        self._authorizer = authorizer
        self._content = ContentChecks(database, storage, repairs)
        self._manifests = ManifestChecks(database, hooks)
        self._edges = EdgeChecks(database, hooks, allow_sparse=terms.allow_sparse)
        self._reviews = ReviewChecks(database, repairs, window_ms=terms.window_ms, lease_ms=lease_ms)
        self._orphans = OrphanChecks(database, storage, repairs, young_ms=terms.young_ms)
        self._faults: Mapping[str, Sequence[Fault]] = {
            "repositories": repository_faults(repairs),
            "tag periods": TAG_FAULTS,
            "blob rows": blob_faults(repairs, storage.storage_id),
            "memberships": member_faults(repairs, lease_ms),
            "uploads": upload_faults(repairs),
            "deletions": deletion_faults(),
        }

    def run(
        self,
        actor: Actor,
        repositories: Sequence[RepositoryName] = (),
        *,
        deep: bool = False,
        repair: bool = False,
        bytes_a_second: int | None = None,
        progress: Progress = silent,
        tell: Tell = silent,
    ) -> Report:
        """Check all that is stored, or only some ``repositories`` and what they name.

        ``deep`` reads every blob, at ``bytes_a_second`` at most; ``repair`` mends what can be mended without taking
        anything from anybody. ``tell`` hears each finding as it comes. Raises
        :class:`~registry.hooks.ports.StorageError` or :class:`~registry.errors.Unavailable` where the check itself
        cannot go on, and :class:`~registry.errors.NameUnknown`.
        """
        self._authorizer.require(actor, Action.ADMIN, None)
        scope = self._scope(repositories)
        report = Report()
        throttle = Throttle(bytes_a_second) if deep else None
        for found in self._all(scope, report, throttle, progress):
            finding = found
            if repair and found.repair is not None:
                finding = replace(found, severity=Severity.REPAIRED, detail=f"{found.detail}; {found.repair()}")
            report.add(finding)
            tell(finding)
        return report

    def _scope(self, repositories: Sequence[RepositoryName]) -> Scope:
        if not repositories:
            return Scope()
        with self._database.read() as connection:
            return Scope(sorted({require_repository(connection, name) for name in repositories}))

    def _all(self, scope: Scope, report: Report, throttle: Throttle | None, progress: Progress) -> Iterator[Finding]:
        scanner, looked = Scanner(self._database, scope), _Looked(report, progress)
        yield from self._scan(scanner, looked, "repositories", "tag periods")
        if scope.whole:
            yield from self._scan(scanner, looked, "blob rows")
        # Before what names them: what is put into quarantine is then told of with all that lacks it.
        for page in self._content.pages(scope):
            yield from self._content.check(page, throttle)
            looked.at("blobs", len(page))
        for ids in self._manifests.pages(scope):
            yield from self._manifests.check(ids)
            looked.at("manifests", len(ids))
        for after, upto, last in scanner.windows(Manifest.id):
            yield from self._edges.look(scanner, after, upto)
            yield from self._reviews.look(scanner, after, upto)
            yield from scanner.look(self._reviews.faults, after, upto)
            progress("edges and reviews", upto, last)
        yield from self._scan(scanner, looked, "memberships", "uploads")
        if scope.whole:
            yield from self._scan(scanner, looked, "deletions")
            progress("keys of the store", 0, 0)
            yield from self._orphans.look()

    def _scan(self, scanner: Scanner, looked: _Looked, *names: str) -> Iterator[Finding]:
        for name in names:
            faults = self._faults[name]
            column, repository = faults[0].column, faults[0].repository
            looked.at(name, 0)
            for after, upto, last in scanner.windows(column):
                yield from scanner.look(faults, after, upto)
                looked.at(name, scanner.count(column, repository, after, upto), upto, last)


class _Looked:
    """Counts what was looked at, and tells how far that is."""

    def __init__(self, report: Report, progress: Progress) -> None:
        self._report = report
        self._progress = progress

    def at(self, name: str, count: int, done: int | None = None, total: int = 0) -> None:
        self._report.checked[name] += count
        self._progress(name, self._report.checked[name] if done is None else done, total)
