"""The whole check: every finding is looked at twice, since others go on working meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

from registry.db.engine import Database
from registry.fsck.blobs import BlobChecks
from registry.fsck.findings import Finding, Report, Severity
from registry.fsck.manifests import ManifestChecks
from registry.fsck.tags import check_tags, count_tags

Progress = Callable[[str, int], object]
"""Hears what is being checked, and how many of them were."""


def silent(what: str, count: int, /) -> None:
    """Tell nobody."""


class Fsck:
    """Checks a registry beside its running servers."""

    def __init__(self, database: Database, manifests: ManifestChecks, blobs: BlobChecks) -> None:
        """Check with these."""
        self._database = database
        self._manifests = manifests
        self._blobs = blobs

    def run(self, *, deep: bool = False, repair: bool = False, progress: Progress = silent) -> Report:
        """Check everything; ``deep`` reads every blob, ``repair`` mends what can be mended without any loss.

        Raises :class:`~registry.hooks.ports.StorageError` or :class:`~registry.errors.Unavailable` where the check
        itself cannot go on.
        """
        report = Report()
        for finding in self._all(report, progress, deep=deep):
            if repair and finding.repair is not None and finding.severity is Severity.ERROR:
                finding.repair()
                report.findings.append(replace(finding, severity=Severity.REPAIRED))
            else:
                report.findings.append(finding)
        return report

    def _all(self, report: Report, progress: Progress, *, deep: bool) -> Iterator[Finding]:
        with self._database.read() as connection:
            report.checked["tag periods"] = count_tags(connection)
        progress("tag periods", report.checked["tag periods"])
        yield from self._twice(self._tags)
        for kind, pages, check in (
            ("manifests", self._manifests.pages(), self._manifests.check),
            ("blobs", self._blobs.pages(), partial(self._blobs.check, deep=deep)),
        ):
            for page in pages:
                for row_id in page:
                    yield from self._twice(partial(check, row_id))
                report.checked[kind] += len(page)
                progress(kind, report.checked[kind])
        yield from self._twice(self._memberships)
        progress("orphans", 0)
        yield from self._twice(self._blobs.orphans)

    def _tags(self) -> list[Finding]:
        with self._database.read() as connection:
            return list(check_tags(connection, self._database.now(connection)))

    def _memberships(self) -> list[Finding]:
        with self._database.read() as connection:
            return list(self._blobs.memberships(connection))

    @staticmethod
    def _twice(check: Callable[[], Iterable[Finding]]) -> list[Finding]:
        """Return what a check finds on two looks: what only one of them sees was just being changed."""
        first = list(check())
        if not first:
            return []
        again = list(check())
        return [finding for finding in again if finding in first]
