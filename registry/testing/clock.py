"""A registry's time, which stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["Clock"]

_START_MS = 1_700_000_000_000
_MS = timedelta(milliseconds=1)


class Clock:
    """The time of a registry under test: milliseconds since 1970 where it is called, as the registry does."""

    def __init__(self) -> None:
        """Stand where every test starts: 2023-11-14, 22:13:20 UTC."""
        self.milliseconds = _START_MS

    def __call__(self) -> int:
        """Return the time in milliseconds."""
        return self.milliseconds

    @property
    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)

    def reset(self) -> None:
        """Go back to where every test starts."""
        self.milliseconds = _START_MS

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        """Let time pass; no registry's time runs backwards, so raises :class:`ValueError` below nothing."""
        passed = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        if passed < timedelta():
            raise ValueError("a registry's time does not run backwards")
        self.milliseconds += round(passed / _MS)
