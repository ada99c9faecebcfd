"""What a check can find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

LISTED = 10_000
"""So many findings are kept in a report; all are counted, and told of as they come."""


class Severity(StrEnum):
    """How bad a finding is; what was repaired is an error that is no more."""

    ERROR = "error"
    NOTE = "note"
    REPAIRED = "repaired"


class Kind(StrEnum):
    """All that can be found."""

    REPOSITORY_STATE = "repository half deleted"
    REPOSITORY_UNREVIEWED = "repository without a review"
    TAG_OVERLAP = "tag periods overlap"
    TAG_BACKWARDS = "tag period that ends before it starts"
    TAG_ENDLESS = "tag period without an end"
    TAG_ELSEWHERE = "tag of another manifest"
    TAG_OF_NOTHING = "tag of no manifest"
    TAG_IMMUTABLE_ENDS = "immutable tag with an end"
    MANIFEST_DAMAGED = "manifest damaged"
    MANIFEST_UNREADABLE = "manifest of an unknown format"
    MANIFEST_COLUMNS = "manifest described wrongly"
    MANIFEST_PINNED = "deleted manifest with a pin"
    PURGED_HERE = "purged digest that is here"
    MANIFEST_UNREVIEWED = "manifest without a review"
    EDGE_MISSING = "missing edge"
    EDGE_WRONG = "wrong edge"
    LACKS_BLOB = "manifest lacks a blob"
    LACKS_CHILD = "manifest lacks a child"
    LACKS_SUBJECT = "manifest lacks its subject"
    LEASE_AHEAD = "lease far ahead"
    BLOB_ROW = "blob row damaged"
    BLOB_DAMAGED = "blob damaged"
    BLOB_SOUND = "sound blob in quarantine"
    BLOB_ELSEWHERE = "blob of another store"
    BLOB_UNUSED = "blob of no repository"
    BLOB_DOOMED = "blob whose bytes are to be removed"
    BLOB_GOING = "blob given up that is needed"
    BLOB_STUCK = "deletion without a queue"
    KEY_SHARED = "storage key used twice"
    MEMBER_OF_NOTHING = "membership of nothing"
    MEMBER_UNREVIEWED = "blob without a review"
    UPLOAD_ROW = "upload row damaged"
    UPLOAD_PARTS = "upload whose parts do not add up"
    UPLOAD_DOOMED = "upload whose bytes are to be removed"
    UPLOAD_BYTES = "upload that lost its bytes"
    ORPHAN = "orphan bytes"
    ORPHANS_UNKNOWN = "orphans not looked for"
    DELETION_FAILING = "deletion that fails"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: what kind, of what, and what is to be known about it."""

    severity: Severity
    kind: Kind
    subject: str
    detail: str
    repair: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    """Mends it without taking anything from anybody, and says what it did; None where that is not possible."""


def error(kind: Kind, subject: str, detail: str, repair: Callable[[], str] | None = None) -> Finding:
    """Return a finding that somebody has to look at."""
    return Finding(Severity.ERROR, kind, subject, detail, repair)


def note(kind: Kind, subject: str, detail: str) -> Finding:
    """Return a finding that is as somebody wanted it."""
    return Finding(Severity.NOTE, kind, subject, detail)


@dataclass(slots=True)
class Report:
    """What a whole check found: the first findings, how many there are by severity and by kind, and what was checked.

    ``checked`` counts what was looked at, by its name.
    """

    findings: list[Finding] = field(default_factory=list)
    severities: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)

    @property
    def errors(self) -> int:
        """How many errors are left."""
        return self.severities[Severity.ERROR]

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it unless there are many."""
        self.severities[finding.severity] += 1
        self.kinds[finding.severity, finding.kind] += 1
        if len(self.findings) < LISTED:
            self.findings.append(finding)
