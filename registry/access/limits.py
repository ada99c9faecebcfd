"""What a credential allows of all that its principal may do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from registry.access.actions import ACTIONS_OF, Action, Role
from registry.access.reach import EVERYTHING, Reach
from registry.errors import ScopeInvalid
from registry.patterns import Patterns

MOST_SCOPES = 20
EVERY = "*"
"""The action of a token that stands for all (Docker, "Token Scope Documentation")."""
_SCOPE = re.compile(r"(pull|push|maintain|admin)(?::(\S{1,512}))?")
_EXAMPLES = "pull, push:team/*, admin"


class Limits(Protocol):
    """Narrows what a principal may do."""

    def allow(self, action: Action, repository: str | None) -> bool:
        """Tell whether the credential is good for an action; ``repository`` is None for the registry as a whole."""
        ...

    def allow_everywhere(self, action: Action) -> bool:
        """Tell whether it is for all there is, so that nobody need ask about each; false is no answer."""
        ...


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """What a token was asked for: actions by repository, and whether it may list (``registry:catalog:*``)."""

    repositories: Mapping[str, frozenset[str]]
    catalog: bool = False

    def allow(self, action: Action, repository: str | None) -> bool:
        """Tell whether the token names the action; who may pull, or see the catalog, may list as well."""
        if self.catalog and action is Action.LIST:
            return True
        if repository is None:
            return False
        named = self.repositories.get(repository, frozenset())
        wanted = Action.PULL if action is Action.LIST else action
        return wanted.value in named or EVERY in named

    def allow_everywhere(self, action: Action) -> bool:
        """Tell whether it is for all there is: of a token, to list."""
        return self.catalog and action is Action.LIST

    def reach(self) -> Reach:
        """Return the repositories that it names, or all."""
        return EVERYTHING if self.catalog else Reach.of(self.repositories, ())

    @property
    def scopes(self) -> Sequence[str]:
        """The scopes as clients write them."""
        named = [f"repository:{name}:{','.join(sorted(actions))}" for name, actions in self.repositories.items()]
        return [*named, "registry:catalog:*"] if self.catalog else named


def parse_access(access: object) -> TokenLimits:
    """Read what a token is for (Docker, "Token Authentication Implementation", ``access``).

    Raises :class:`ValueError`, :class:`TypeError` or :class:`KeyError` for what is of another form.
    """
    repositories: dict[str, frozenset[str]] = {}
    catalog = False
    if not isinstance(access, list):
        raise ValueError("a list is needed")  # noqa: TRY004 - a wrong value, read from a text
    for entry in access:
        kind, name, actions = entry["type"], entry["name"], entry["actions"]
        if not isinstance(name, str) or not isinstance(actions, list) or not all(isinstance(a, str) for a in actions):
            raise ValueError("a name and a list of actions are needed")
        if kind == "repository":
            repositories[name] = repositories.get(name, frozenset()) | frozenset(actions)
        elif (kind, name) == ("registry", "catalog"):
            catalog = True
    return TokenLimits(repositories, catalog)


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What an API key was made for: a role, each on all or on some repositories."""

    scopes: Sequence[tuple[Role, Patterns | None]]

    def allow(self, action: Action, repository: str | None) -> bool:
        """Tell whether one of the scopes has the action."""
        return any(action in ACTIONS_OF[role] and _within(patterns, repository) for role, patterns in self.scopes)

    def allow_everywhere(self, action: Action) -> bool:
        """Tell whether a scope without a pattern has the action."""
        return any(action in ACTIONS_OF[role] and patterns is None for role, patterns in self.scopes)


def _within(patterns: Patterns | None, repository: str | None) -> bool:
    return patterns is None or (repository is not None and patterns.matches(repository))


@dataclass(frozen=True, slots=True)
class Both:
    """What two limits allow together: those of a token (``one``), and of the API key or trust that it was got with."""

    one: Limits
    other: Limits

    def allow(self, action: Action, repository: str | None) -> bool:
        """Tell whether both allow it."""
        return self.one.allow(action, repository) and self.other.allow(action, repository)

    def allow_everywhere(self, action: Action) -> bool:
        """Tell whether both allow it wherever it is."""
        return self.one.allow_everywhere(action) and self.other.allow_everywhere(action)


@dataclass(frozen=True, slots=True)
class Either:
    """What any of some limits allows: those of the trusts that a token fits."""

    limits: Sequence[Limits]

    def allow(self, action: Action, repository: str | None) -> bool:
        """Tell whether one of them allows it."""
        return any(one.allow(action, repository) for one in self.limits)

    def allow_everywhere(self, action: Action) -> bool:
        """Tell whether one of them allows it wherever it is."""
        return any(one.allow_everywhere(action) for one in self.limits)


def any_of(limits: Iterable[Limits | None]) -> Limits | None:
    """Return what any of the limits allows; None, which stands for no limits, among them is stronger than all."""
    found = list(limits)
    known = [one for one in found if one is not None]
    return Either(known) if len(known) == len(found) else None


def narrowed(one: Limits | None, other: Limits | None) -> Limits | None:
    """Return what both limits allow; None stands for no limits."""
    if one is None or other is None:
        return one or other
    return Both(one, other)


def key_lacks(limits: Limits | None, action: Action, repository: str | None) -> bool:
    """Tell whether it is the API key that a token was got with which does not allow it: no other token would do."""
    return isinstance(limits, Both) and not limits.other.allow(action, repository)


def token_scopes(limits: Limits | None) -> Sequence[str]:
    """Return what a token is for, of the limits that it was read with."""
    said = limits.one if isinstance(limits, Both) else limits
    return said.scopes if isinstance(said, TokenLimits) else ()


def parse_scopes(texts: Iterable[str]) -> KeyLimits | None:
    """Read scopes such as ``pull``, ``push:team/*``, ``admin``; without any there are no limits.

    Raises :class:`ScopeInvalid` that names the one at fault.
    """
    scopes: list[tuple[Role, Patterns | None]] = []
    for text in texts:
        match = _SCOPE.fullmatch(text)
        if match is None or len(scopes) >= MOST_SCOPES:
            raise ScopeInvalid(
                f"a scope is a role, or a role and a pattern of repositories ({_EXAMPLES}); {MOST_SCOPES} at most",
                detail={"scope": text[:256]},
            )
        patterns = None if match[2] is None else Patterns.parse([match[2]], "scope")
        scopes.append((Role(match[1]), patterns))
    return KeyLimits(scopes) if scopes else None
