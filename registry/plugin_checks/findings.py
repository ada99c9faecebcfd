"""What a check finds: a place, what is wrong there, and what to change."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Finding", "meant"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something to change. ``line`` starts at 1; 0 where it is about a file that is not there."""

    path: Path
    line: int
    problem: str
    change: str

    @property
    def place(self) -> str:
        """The place as editors and terminals open it."""
        return f"{self.path}:{self.line}" if self.line else str(self.path)


def meant(word: str, known: Collection[str]) -> str:
    """Return a hint which of the known words was meant."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there is {', '.join(sorted(known))}"
