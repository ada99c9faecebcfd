"""What a rule of retention says, read from JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from registry.errors import RuleInvalid
from registry.patterns import Patterns
from registry.repositories.lives import Life, parse_life

KIND = "retention"
MAX_LAST = 1_000_000
_SHOWN = 64


class About(StrEnum):
    """What a rule decides about."""

    TAGS = "tags"
    UNTAGGED = "untagged"


@dataclass(frozen=True, slots=True)
class Keep:
    """What a rule keeps of what it covers: whatever meets any of these."""

    last: int | None = None
    younger_than: Life | None = None
    pulled_within: Life | None = None
    matching: Patterns | None = None
    always: bool = False


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """A rule by name: it covers what ``selects`` matches, and speaks for the removal of what it does not keep.

    A tag is matched by its name, an untagged manifest by its digest.
    """

    name: str
    about: About
    selects: Patterns
    keep: Keep


def parse_rule(name: str, definition: Mapping[str, object]) -> RetentionRule:
    """Read a definition: ``for`` (tags), ``select`` (all) and ``keep``, which names one condition at least.

    Raises :class:`RuleInvalid` that names the field at fault.
    """
    _refuse_others(definition, {"for", "select", "keep"}, "")
    return RetentionRule(
        name,
        _about(definition.get("for", About.TAGS)),
        Patterns.parse(definition.get("select", ["*"]), "select"),
        _keep(definition.get("keep")),
    )


def _about(value: object) -> About:
    if value not in tuple(About):
        raise RuleInvalid("for must be tags or untagged", detail={"field": "for", "value": str(value)[:_SHOWN]})
    return About(str(value))


def _keep(value: object) -> Keep:
    if not isinstance(value, Mapping) or not value:
        raise RuleInvalid(f"keep must name at least one of {', '.join(_CONDITIONS)}", detail={"field": "keep"})
    _refuse_others(value, set(_CONDITIONS), "keep.")
    return Keep(**{name: _CONDITIONS[name](given, f"keep.{name}") for name, given in value.items()})


def _refuse_others(value: Mapping[str, object], known: set[str], prefix: str) -> None:
    for key in value:
        if key not in known:
            named = f"{prefix}{key}"[:_SHOWN]
            raise RuleInvalid(
                f"there is no field {named}: use {', '.join(prefix + name for name in sorted(known))}",
                detail={"field": named},
            )


def _last(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_LAST:
        raise RuleInvalid(
            f"{name} must be a whole number from 1 to {MAX_LAST}", detail={"field": name, "value": str(value)[:_SHOWN]}
        )
    return value


def _always(value: object, name: str) -> bool:
    if value is not True:
        raise RuleInvalid(f"{name} must be true, or left out", detail={"field": name, "value": str(value)[:_SHOWN]})
    return True


_CONDITIONS: Mapping[str, Callable[[object, str], Any]] = {
    "last": _last,
    "younger_than": parse_life,
    "pulled_within": parse_life,
    "matching": Patterns.parse,
    "always": _always,
}
