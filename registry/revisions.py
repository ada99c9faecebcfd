"""Revisions of what can be changed, and what a client requires of them before it changes it.

Source: RFC 9110, 13.1.1 (``If-Match``). A service compares inside the transaction that makes the change, so that
of two clients which saw the same revision only one succeeds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from registry.errors import PreconditionFailed

_LENGTH = 32


def revision_of(*state: object) -> str:
    """Return a text that differs wherever ``state`` (numbers, texts, None) differs."""
    return hashlib.sha256(repr(state).encode()).hexdigest()[:_LENGTH]


@dataclass(frozen=True, slots=True)
class Condition:
    """The revisions under which a change may be made; None: under any."""

    revisions: frozenset[str] | None = None

    def require(self, revision: str) -> None:
        """Raise :class:`PreconditionFailed` where the present revision is another one."""
        if self.revisions is not None and revision not in self.revisions:
            raise PreconditionFailed(detail={"etag": f'"{revision}"'})
