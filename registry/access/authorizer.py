"""The one decision about access. Every service asks here before it opens a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from registry.access.actors import Actor
from registry.errors import Denied
from registry.names import RepositoryName


class Action(StrEnum):
    """What a principal may be allowed to do."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    LIST = "list"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One thing that ``actor`` wants to do; ``repository`` is None for the registry as a whole."""

    actor: Actor
    action: Action
    repository: RepositoryName | None
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request; ``reason`` is for the client."""

    allowed: bool
    reason: str = ""


class Authorizer:
    """Decides access. While there is no policy, whoever reaches the registry may do everything."""

    def authorize(self, requests: Sequence[AccessRequest]) -> Sequence[Decision]:
        """Return one decision a request, in order."""
        return [Decision(allowed=True) for _ in requests]

    def require(self, actor: Actor, action: Action, repository: RepositoryName | None, reference: str = "") -> None:
        """Raise :class:`Denied` that names the missing action unless it is allowed."""
        (decision,) = self.authorize([AccessRequest(actor, action, repository, reference)])
        if not decision.allowed:
            raise Denied(
                decision.reason or None,
                detail={"action": action.value, "repository": str(repository or ""), "reference": reference},
            )
