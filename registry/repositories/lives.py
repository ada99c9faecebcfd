"""Lengths of time as rules write them: ``30d``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry.errors import RuleInvalid

LONGEST_MS = 36_500 * 86_400_000
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LIFE = re.compile(r"([0-9]{1,12})([smhdw])")
_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Life:
    """A length of time in milliseconds; ``text`` is how it was written."""

    ms: int
    text: str


def length_text(ms: int) -> str:
    """Write a length of time in the largest unit of which it is a whole number: ``14d``, ``36h``."""
    units = (unit for unit in "dhms" if ms and ms % _UNIT_MS[unit] == 0)
    unit = next(units, "s")
    return f"{ms // _UNIT_MS[unit]}{unit}"


def age_text(ms: int) -> str:
    """Write a length of time in its largest whole unit, and leave the rest out: 36 hours are ``1d``."""
    unit = next((unit for unit in "dhm" if ms >= _UNIT_MS[unit]), "s")
    return f"{ms // _UNIT_MS[unit]}{unit}"


def parse_life(value: object, name: str) -> Life:
    """Read a positive length of time, a hundred years at most; raises :class:`RuleInvalid` that names ``name``."""
    match = _LIFE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not match[1].strip("0"):
        raise RuleInvalid(
            f"{name} must be a positive whole number and one of s, m, h, d, w, such as 30d",
            detail={"field": name, "value": str(value)[:_SHOWN]},
        )
    return Life(min(int(match[1]) * _UNIT_MS[match[2]], LONGEST_MS), match[0])
