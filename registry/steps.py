"""Named steps of the core's work: where a test can stop it, to crash it or to let another go first."""

from __future__ import annotations

from collections.abc import Callable

Steps = Callable[[str], None]
"""Is told the name of each step as it is reached, such as ``manifest.store.tags``."""


def no_steps(name: str, /) -> None:
    """Go on: what every registry does that is not under test."""
