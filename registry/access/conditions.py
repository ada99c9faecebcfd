"""Under which circumstances a rule of the policy holds: from where, and when."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Self, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from registry.errors import RuleInvalid

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_FIELDS = ("days", "from", "to", "zone")
_MOST = 50
_END_OF_DAY = "24:00"


@dataclass(frozen=True, slots=True)
class Networks:
    """Addresses of clients."""

    networks: tuple[_Network, ...]

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a list of networks and addresses; raises :class:`RuleInvalid`."""
        return cls.of(_texts(value, "networks"))

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Read networks and addresses; raises :class:`RuleInvalid`."""
        return cls(tuple(map(_network, texts)))

    def hold(self, address: str) -> bool:
        """Tell whether an address is in one of them; one of IPv4 inside IPv6 counts as what it carries."""
        if not self.networks:
            return False
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:  # of a socket without an address
            return False
        plain = getattr(found, "ipv4_mapped", None) or found
        return any(plain in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some days of the week in a zone; where they end before they start, they end on the next day."""

    days: frozenset[int]
    start: time
    end: time | None
    zone: ZoneInfo

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read ``days``, ``from``, ``to`` and ``zone``, none of which is needed; raises :class:`RuleInvalid`."""
        if not isinstance(value, Mapping) or not value:
            raise RuleInvalid(f"each of times is an object with {', '.join(_FIELDS)}", detail={"field": "times"})
        for key in value:
            if key not in _FIELDS:
                raise RuleInvalid(
                    f"times has no field {key!r:.64}: use {', '.join(_FIELDS)}", detail={"field": "times"}
                )
        days = _texts(value.get("days", list(_DAYS)), "times.days")
        if not set(days) <= set(_DAYS):
            raise RuleInvalid(f"times.days are of {', '.join(_DAYS)}", detail={"field": "times.days"})
        start, end = _clock(value.get("from", "00:00"), "from"), _clock(value.get("to", _END_OF_DAY), "to")
        if start is None or start == end:
            raise RuleInvalid("times.from must be before times.to, and not 24:00", detail={"field": "times.from"})
        return cls(frozenset(map(_DAYS.index, days)), start, end, _zone(value.get("zone", "UTC")))

    def holds(self, now_ms: int) -> bool:
        """Tell whether a time in milliseconds is within it."""
        local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self.zone)
        clock, day = local.time(), local.weekday()
        if self.end is None:
            return day in self.days and clock >= self.start
        if self.start < self.end:
            return day in self.days and self.start <= clock < self.end
        yesterday = (day - 1) % len(_DAYS)
        return (day in self.days and clock >= self.start) or (yesterday in self.days and clock < self.end)


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def parse_windows(value: object) -> tuple[Window, ...]:
    """Read a list of windows; raises :class:`RuleInvalid`."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= _MOST:
        raise RuleInvalid(f"times is a list of 1 to {_MOST} objects", detail={"field": "times"})
    return tuple(map(Window.parse, value))


def _texts(value: object, name: str) -> Sequence[str]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= _MOST:
        raise RuleInvalid(f"{name} is a list of 1 to {_MOST} texts", detail={"field": name})
    if not all(isinstance(text, str) for text in value):
        raise RuleInvalid(f"{name} is a list of texts", detail={"field": name})
    return tuple(value)


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise RuleInvalid(f"networks: {error}", detail={"field": "networks", "network": text[:64]}) from None


def _clock(value: object, name: str) -> time | None:
    """Return a time of day, None for its end."""
    if not isinstance(value, str) or _CLOCK.fullmatch(value) is None:
        raise RuleInvalid(f"times.{name} is written as 08:30", detail={"field": f"times.{name}"})
    return None if value == _END_OF_DAY else time.fromisoformat(value)


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RuleInvalid("times.zone is a name such as Europe/Berlin", detail={"field": "times.zone"}) from None
