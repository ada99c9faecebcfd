"""When an event is told again that was not taken, and when it is given up."""

from __future__ import annotations

import random
from dataclasses import dataclass

from registry.hooks.events import Event

_LONGEST_ERROR = 2000
_LONGEST_SHIFT = 32


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that waits to be told (again), as the database has it; times are in milliseconds.

    ``attempts`` is 0 where it waits only for those before it; one that is ``alone`` holds back no later ones.
    ``dead_ms`` is when it was given up, or None.
    """

    position: int
    repository: str
    alone: bool
    attempts: int
    first_ms: int
    due_ms: int
    dead_ms: int | None
    error: str


@dataclass(frozen=True, slots=True)
class RetryTerms:
    """So many attempts, or so many milliseconds since the first, and an event is a dead letter.

    The pause doubles from ``first_pause_ms`` up to ``longest_pause_ms``, and up to a quarter of it comes on top.
    """

    attempts: int = 16
    age_ms: int = 3 * 86_400_000
    first_pause_ms: int = 1_000
    longest_pause_ms: int = 3_600_000

    def after_failure(self, event: Event, error: str, now: int, before: Waiting | None) -> Waiting:
        """Return what becomes of an event that was not taken; ``before`` is how it waited, None for a new one."""
        attempts, first_ms = (1, now) if before is None else (before.attempts + 1, before.first_ms)
        over = attempts >= self.attempts or now - first_ms >= self.age_ms
        alone = before is not None and before.alone
        due_ms, dead_ms = now + self._pause(attempts), now if over else None
        return Waiting(event.position, event.repository, alone, attempts, first_ms, due_ms, dead_ms, _readable(error))

    def _pause(self, attempts: int) -> int:
        pause = min(self.first_pause_ms << min(attempts - 1, _LONGEST_SHIFT), self.longest_pause_ms)
        return pause + int(pause * random.uniform(0, 0.25))  # noqa: S311 - spreads what failed together, no secret


def _readable(error: str) -> str:
    """Return a plugin's words as they can be stored and shown."""
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in error[:_LONGEST_ERROR])
