"""Times as the API shows and takes them: RFC 3339, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(milliseconds: int) -> datetime:
    """Return a time of the database."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def maybe_moment(milliseconds: int | None) -> datetime | None:
    """Return a time of the database, or None."""
    return None if milliseconds is None else moment(milliseconds)
