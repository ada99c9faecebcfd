"""Jobs: named pieces of work that a worker runs by a schedule or by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from registry.access.actors import Actor

Result = Mapping[str, object]
"""What a run did, JSON-shaped; one that did nothing returns nothing but empty values."""


class JobContext(Protocol):
    """What a running job is given."""

    @property
    def arguments(self) -> Mapping[str, object]:
        """What the run was asked for; empty where a schedule started it."""

    @property
    def actor(self) -> Actor:
        """On whose behalf it runs."""

    def progress(self, done: int, total: int = 0) -> None:
        """Tell how far it is; ``total`` 0 where that is not known."""

    def stopping(self) -> bool:
        """Tell whether it should end soon: what it did stays done, and it is run again."""


def always() -> bool:
    """Tell that a job may have something to do."""
    return True


@dataclass(frozen=True, slots=True)
class Job:
    """A job: what it is about, how often it runs (None: only when it is asked for), and what it does.

    ``wanted`` tells cheaply, by reading alone, whether a scheduled run would have anything to do. An ``exclusive``
    job runs in one worker at a time.
    """

    name: str
    about: str
    every_seconds: float | None
    run: Callable[[JobContext], Result]
    wanted: Callable[[], bool] = always
    exclusive: bool = True
