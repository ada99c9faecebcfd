"""Times as the API shows and takes them: RFC 3339, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from registry.errors import InputInvalid

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time that a client gives, with its offset from UTC."""
_EPOCH, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def moment(milliseconds: int) -> datetime:
    """Return a time of the database."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def maybe_moment(milliseconds: int | None) -> datetime | None:
    """Return a time of the database, or None."""
    return None if milliseconds is None else moment(milliseconds)


def milliseconds(time: datetime) -> int:
    """Return a client's time as the database keeps it; raises :class:`InputInvalid` for one that it cannot keep."""
    if not _EPOCH <= time <= _END:
        raise InputInvalid("a time must lie between 1970 and 9999 (UTC)", detail={"time": time.isoformat()})
    return (time - _EPOCH) // timedelta(milliseconds=1)
