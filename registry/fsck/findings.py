"""What a check can find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is; what was repaired is an error that is no more."""

    ERROR = "error"
    NOTE = "note"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: what kind, of what, and what is to be known about it."""

    severity: Severity
    kind: str
    subject: str
    detail: str
    repair: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    """Mends it without taking anything from anybody; None where that is not possible."""


def error(kind: str, subject: str, detail: str, repair: Callable[[], None] | None = None) -> Finding:
    """Return a finding that somebody has to look at."""
    return Finding(Severity.ERROR, kind, subject, detail, repair)


def note(kind: str, subject: str, detail: str) -> Finding:
    """Return a finding that is as somebody wanted it."""
    return Finding(Severity.NOTE, kind, subject, detail)


@dataclass(slots=True)
class Report:
    """What a whole check found; ``checked`` counts what was looked at, by kind."""

    findings: list[Finding] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    @property
    def errors(self) -> int:
        """How many errors are left."""
        return sum(one.severity is Severity.ERROR for one in self.findings)
