"""What is asked about access, and what the answers say."""

from __future__ import annotations

from dataclasses import dataclass

from registry.access.actions import Action
from registry.access.actors import Actor
from registry.names import RepositoryName

_OF_TAGS = frozenset({Action.PULL, Action.PUSH, Action.DELETE})


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One thing that ``actor`` wants to do; ``repository`` is None for the registry as a whole.

    ``reference`` is a tag or digest to pull, push or delete, and otherwise whatever it is about. ``any_tag`` asks
    whether there may be a tag for which it is allowed.
    """

    actor: Actor
    action: Action
    repository: RepositoryName | None
    reference: str = ""
    any_tag: bool = False

    @property
    def tag(self) -> str | None:
        """The tag that it is about, None where there is none."""
        named = self.repository is not None and self.action in _OF_TAGS and ":" not in self.reference
        return self.reference or None if named else None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request; ``reason`` says why the credential is worth nothing any more, where that is why.

    ``rule`` is the name of the one that decided, empty where none did. ``elsewhere`` tells that the policy allows it
    and the credential does not: another one of the same principal would do. ``plugin`` is the one that refuses what the
    policy allows, for the ``reason``; it ``failed`` where it could not tell.
    """

    allowed: bool
    reason: str = ""
    rule: str = ""
    elsewhere: bool = False
    plugin: str = ""
    failed: bool = False

    @property
    def by_policy(self) -> bool:
        """Whether the policy allows it, though the credential or a plugin may not."""
        return self.allowed or self.elsewhere or bool(self.plugin)
