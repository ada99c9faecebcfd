"""What may be done, and the roles that allow it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Action(StrEnum):
    """What a principal may be allowed to do."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    LIST = "list"
    """See that something is there: a repository in a list, its rules, its events."""
    ADMIN = "admin"


CHANGING = frozenset({Action.PUSH, Action.DELETE, Action.ADMIN})
"""What changes something: it is decided by what holds this moment, and not by what held a moment ago."""


class Role(StrEnum):
    """What a rule of the policy grants; each role includes those before it."""

    NONE = "none"
    PULL = "pull"
    PUSH = "push"
    MAINTAIN = "maintain"
    ADMIN = "admin"


ACTIONS_OF: Mapping[Role, frozenset[Action]] = {
    Role.NONE: frozenset(),
    Role.PULL: frozenset({Action.PULL, Action.LIST}),
    Role.PUSH: frozenset({Action.PULL, Action.LIST, Action.PUSH}),
    Role.MAINTAIN: frozenset({Action.PULL, Action.LIST, Action.PUSH, Action.DELETE}),
    Role.ADMIN: frozenset(Action),
}


def least_role(action: Action) -> Role:
    """Return the least role that allows an action."""
    return next(role for role in Role if action in ACTIONS_OF[role])
