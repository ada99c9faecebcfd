"""Patterns of names in rules: globs, and regular expressions that take linear time."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import re2

from registry.errors import RuleInvalid

MAX_PATTERNS = 100
MAX_PATTERN_LENGTH = 512
EXPRESSION = "re:"
"""What a regular expression starts with; no tag, digest or repository name does."""
_MEMORY = 1 << 20
_SHOWN = 256
Matcher = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Patterns:
    """Matches a name that any of ``include`` matches in full and none of ``exclude`` does.

    A pattern is a glob (``*``, ``?``, ``[a-z]``, ``[!a-z]``), or a regular expression after ``re:``.
    """

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    _include: tuple[Matcher, ...] = field(init=False, repr=False, compare=False)
    _exclude: tuple[Matcher, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile every pattern; raises :class:`RuleInvalid` that names the one at fault."""
        object.__setattr__(self, "_include", tuple(map(_compiled, self.include)))
        object.__setattr__(self, "_exclude", tuple(map(_compiled, self.exclude)))

    @classmethod
    def parse(cls, value: object, name: str) -> Self:
        """Read a list of patterns, or an object with ``include`` and ``exclude``, each such a list.

        Raises :class:`RuleInvalid` that names ``name`` and what is wrong there.
        """
        if not isinstance(value, Mapping):
            return cls(_listed(value, name))
        for key in value:
            if key not in ("include", "exclude"):
                raise RuleInvalid(f"{name} has no field {key!r:.64}", detail={"field": f"{name}.{key}"[:_SHOWN]})
        include = _listed(value.get("include", ["*"]), f"{name}.include")
        return cls(include, _listed(value.get("exclude", []), f"{name}.exclude", least=0))

    def matches(self, name: str) -> bool:
        """Tell whether ``name`` is one of those meant."""
        return any(matches(name) for matches in self._include) and not any(matches(name) for matches in self._exclude)

    def __str__(self) -> str:
        text = ", ".join(self.include)
        return f"{text} without {', '.join(self.exclude)}" if self.exclude else text


def _listed(value: object, name: str, least: int = 1) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not least <= len(value) <= MAX_PATTERNS:
        raise RuleInvalid(f"{name} must be a list of {least} to {MAX_PATTERNS} patterns", detail={"field": name})
    for pattern in value:
        if not isinstance(pattern, str) or not 0 < len(pattern) <= MAX_PATTERN_LENGTH or not pattern.isprintable():
            raise RuleInvalid(
                f"a pattern of {name} must be a text of 1 to {MAX_PATTERN_LENGTH} printable characters",
                detail={"field": name, "pattern": ascii(pattern)[:_SHOWN]},
            )
    return tuple(value)


def _compiled(pattern: str) -> Matcher:
    if not pattern.startswith(EXPRESSION):
        # The translation has no two stars that could share a name's characters out among them.
        glob: Matcher = re.compile(fnmatch.translate(pattern)).match
        return glob
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        expression: Matcher = re2.compile(pattern.removeprefix(EXPRESSION), options).fullmatch
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error
        raise RuleInvalid(
            f"{pattern[:_SHOWN]!r} is no regular expression that is accepted here: {reason}",
            detail={"pattern": pattern[:_SHOWN]},
        ) from None
    return expression
