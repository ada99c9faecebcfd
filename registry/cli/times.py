"""Times and lengths of time on the command line; all of it costs nothing to import."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from registry.errors import RegistryError
from registry.repositories.lives import parse_life


class Moment(click.ParamType[datetime]):
    """A time: RFC 3339 (``2026-11-24T10:00:00Z``), a local one without offset, or so long ago (``2h``)."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read the argument; raises :class:`click.BadParameter`."""
        text = str(value)
        try:
            return datetime.now(UTC) - timedelta(milliseconds=parse_life(text, "time").ms)
        except RegistryError:
            pass
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"expected a time such as 2026-11-24T10:00:00Z, or 2h (ago), not {text!r}", param, ctx)


class Length(click.ParamType[timedelta]):
    """A length of time: ``30d``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read the argument; raises :class:`click.BadParameter`."""
        try:
            return timedelta(milliseconds=parse_life(str(value), "duration").ms)
        except RegistryError as error:
            self.fail(f"{error.message}: {value!r}", param, ctx)


MOMENT, LENGTH = Moment(), Length()
