"""Rules of the policy: to whom they speak, about which repositories, and what they allow or deny."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.access.actions import ACTIONS_OF, Action, Role
from registry.access.conditions import Networks, Window, parse_windows
from registry.errors import RuleInvalid
from registry.patterns import Patterns

EVERYBODY = "everybody"
"""The subject of rules that speaks of all who have credentials; without any they are ``anonymous``."""
MOST_LISTED = 200
_FIELDS = ("effect", "to", "on", "role", "actions", "tags", "networks", "times")
_SUBJECT = re.compile(r"(?:user|robot|team|plugin):\S{1,255}|everybody|anonymous")
_SHOWN = 64
_OF_ALL_TAGS = frozenset({Action.DELETE, Action.ADMIN})


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision depends on beside who asks for what: the tag, the client's address, the time (milliseconds).

    ``tag`` is None where it is about no tag: then rules for some tags allow to pull and push, as blobs and manifests
    by digest have no tags yet, and deny to delete, as what goes by its digest takes all its tags along. With
    ``any_tag`` it is asked whether there may be a tag for which it is allowed.
    """

    tag: str | None
    address: str
    now_ms: int
    any_tag: bool = False


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule. ``actions`` are what it allows or, with ``denies``, forbids."""

    name: str
    subjects: tuple[str, ...]
    repositories: Patterns
    actions: frozenset[Action]
    denies: bool = False
    tags: Patterns | None = None
    networks: Networks | None = None
    times: tuple[Window, ...] = ()

    def holds(self, action: Action, circumstances: Circumstances) -> bool:
        """Tell whether the rule's conditions are met for an action."""
        if self.tags is not None and not self._speaks_of(self.tags, action, circumstances):
            return False
        if self.networks is not None and not self.networks.hold(circumstances.address):
            return False
        return not self.times or any(window.holds(circumstances.now_ms) for window in self.times)

    def _speaks_of(self, tags: Patterns, action: Action, circumstances: Circumstances) -> bool:
        if circumstances.tag is not None:
            return tags.matches(circumstances.tag)
        if self.denies:
            return action is Action.DELETE and not circumstances.any_tag
        return circumstances.any_tag or action not in _OF_ALL_TAGS


def parse_policy_rule(name: str, definition: Mapping[str, object]) -> PolicyRule:
    """Read a rule's definition; raises :class:`RuleInvalid` that names the field at fault."""
    for key in definition:
        if key not in _FIELDS:
            raise RuleInvalid(
                f"there is no field {key[:_SHOWN]}: use {', '.join(_FIELDS)}", detail={"field": key[:_SHOWN]}
            )
    effect = definition.get("effect", "allow")
    if effect not in ("allow", "deny"):
        raise RuleInvalid("effect is allow or deny", detail={"field": "effect"})
    denies, actions = _actions(definition, denies=effect == "deny")
    return PolicyRule(
        name,
        _subjects(definition.get("to")),
        Patterns.parse(definition.get("on", ["*"]), "on"),
        actions,
        denies,
        Patterns.parse(definition["tags"], "tags") if "tags" in definition else None,
        Networks.parse(definition["networks"]) if "networks" in definition else None,
        parse_windows(definition["times"]) if "times" in definition else (),
    )


def _actions(definition: Mapping[str, object], *, denies: bool) -> tuple[bool, frozenset[Action]]:
    """Return whether the rule denies, and what; the role ``none`` denies all."""
    if denies:
        if "role" in definition:
            raise RuleInvalid("a rule that denies names actions, and no role", detail={"field": "role"})
        return True, _named(definition.get("actions", list(Action)))
    if "actions" in definition:
        raise RuleInvalid("a rule that allows names a role, and no actions", detail={"field": "actions"})
    role = definition.get("role")
    if role not in list(Role):
        raise RuleInvalid(f"role is one of {', '.join(Role)}", detail={"field": "role"})
    found = Role(str(role))
    return (True, frozenset(Action)) if found is Role.NONE else (False, ACTIONS_OF[found])


def _named(value: object) -> frozenset[Action]:
    named = _listed(value, "actions", ", ".join(Action))
    if not set(named) <= set(Action):
        raise RuleInvalid(f"actions is a list of {', '.join(Action)}", detail={"field": "actions"})
    found = frozenset(map(Action, named))
    return found | {Action.LIST} if Action.PULL in found else found  # what may not be pulled is not seen


def _subjects(value: object) -> tuple[str, ...]:
    wanted = "user:NAME, robot:NAMESPACE+NAME, team:NAME, plugin:NAME, everybody, anonymous"
    named = _listed(value, "to", wanted)
    for one in named:
        if _SUBJECT.fullmatch(one) is None:
            raise RuleInvalid(f"to names {wanted}", detail={"field": "to", "subject": ascii(one)[:_SHOWN]})
    return named


def _listed(value: object, name: str, wanted: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= MOST_LISTED:
        raise RuleInvalid(f"{name} is a list of 1 to {MOST_LISTED} of {wanted}", detail={"field": name})
    if not all(isinstance(one, str) for one in value):
        raise RuleInvalid(f"{name} is a list of {wanted}", detail={"field": name})
    return tuple(value)
