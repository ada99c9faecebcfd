"""Revisions of what can be changed, and what a client requires of them before it changes it.

Source: RFC 9110, 13.1.1 (``If-Match``) and 13.1.2 (``If-None-Match``). A service compares inside the transaction
that makes the change, so that of two clients which saw the same revision only one succeeds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

from registry.errors import PreconditionFailed

_LENGTH = 32


def revision_of(*state: object) -> str:
    """Return a text that differs wherever ``state`` (numbers, texts, None) differs."""
    return hashlib.sha256(repr(state).encode()).hexdigest()[:_LENGTH]


@dataclass(frozen=True, slots=True)
class Condition:
    """Under which ``revisions`` a change may be made, and whether the thing must be there (``exists``); None: any."""

    revisions: frozenset[str] | None = None
    exists: bool | None = None

    @classmethod
    def none(cls) -> Self:
        """Require nothing."""
        return cls()

    def require(self, revision: str | None) -> None:
        """Raise :class:`PreconditionFailed` where the present revision (None: there is nothing) is another one."""
        wanted = self.revisions is None or revision in self.revisions
        if not wanted or self.exists not in (None, revision is not None):
            raise PreconditionFailed(detail={"etag": None if revision is None else f'"{revision}"'})


ANY = Condition.none()
"""Whatever is there may be changed."""
