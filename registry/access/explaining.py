"""Why somebody may do something, or not: which rule decides, and which others speak of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry.access.actions import least_role
from registry.access.actors import ANONYMOUS, Actor
from registry.access.authorizer import AccessRequest, Action, Authorizer, PolicyAuthorizer
from registry.access.policy import ANYBODY
from registry.access.standing import Standings
from registry.db.engine import Database
from registry.errors import PrincipalUnknown
from registry.names import RepositoryName


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would be decided, by which rule (empty: none allows it), as which subjects, and what to do about it.

    ``plugin`` is the one that refuses what the policy allows, empty where none does.
    """

    allowed: bool
    rule: str
    reason: str
    subjects: Sequence[str]
    plugin: str = ""


class AccessExplainer:
    """Explains decisions: one's own to everybody, those about others to who administers the registry."""

    def __init__(
        self, database: Database, authorizer: Authorizer, policy: PolicyAuthorizer, standings: Standings
    ) -> None:
        """Explain what ``policy`` decides."""
        self._database = database
        self._authorizer = authorizer
        self._policy = policy
        self._standings = standings

    def explain(
        self,
        actor: Actor,
        principal: str,
        action: Action,
        repository: RepositoryName | None,
        reference: str,
        address: str,
    ) -> Explanation:
        """Explain what ``principal`` may do, asking from ``address``; raises :class:`PrincipalUnknown`."""
        if actor.principal != principal or actor.proof is None:
            self._authorizer.require(actor, Action.ADMIN, None, principal)
        about = Actor(principal, address)
        standing = self._standings.now(at_once=True)
        if principal != ANONYMOUS and self._standings.principal(standing, principal) is None:
            raise PrincipalUnknown(f"there is no user or robot {principal[:128]!r}", detail={"name": principal[:128]})
        (decision,) = self._policy.decide_all(standing, [AccessRequest(about, action, repository, reference)])
        if decision.plugin:
            says = "failed: the registry's log says how" if decision.failed else f"says: {decision.reason}"
            reason = f"plugin {decision.plugin} {says}"
        elif decision.rule:
            reason = f"rule {decision.rule} {'allows' if decision.allowed else 'denies'} it"
        elif decision.allowed:
            reason = "who has credentials may list; what is listed is what they may pull"
        else:
            reason = decision.reason or f"no rule allows it: role {least_role(action)} is missing"
        return Explanation(
            decision.allowed, decision.rule, reason, _as_written(standing.subjects(about)), decision.plugin
        )


def _as_written(subjects: Sequence[str]) -> Sequence[str]:
    """Return subjects as rules write them: what is granted to ``anonymous`` holds for everybody."""
    return tuple(dict.fromkeys(ANONYMOUS if subject == ANYBODY else subject for subject in subjects))
