"""The one decision about access. Every service asks here before it opens a transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NoReturn

from sqlalchemy import Connection

from registry.access.actions import CHANGING, Action
from registry.access.actors import Actor, Kind
from registry.access.denying import NO_TEAMS, PluginDenials
from registry.access.limits import TokenLimits
from registry.access.reach import EVERYTHING, Reach
from registry.access.refusals import noted, refuse
from registry.access.requests import AccessRequest, Decision
from registry.access.ruling import RULE
from registry.access.standing import Standing, Standings
from registry.audit.entries import DENIED
from registry.audit.notes import DENIED_KIND, Notes
from registry.hooks.authorizing import Denials
from registry.names import RepositoryName

__all__ = ["AccessRequest", "Action", "Authorizer", "Decision", "PolicyAuthorizer"]


class Authorizer:
    """Decides access. Without authentication, whoever reaches the registry may do all that no plugin refuses."""

    def __init__(self, denials: Denials | None, clock_ms: Callable[[], int]) -> None:
        """Let plugins refuse, by ``denials``, at the time of ``clock_ms``."""
        self._denials = None if denials is None or not denials.asks else PluginDenials(denials, clock_ms)
        self._clock_ms = clock_ms

    def authorize(self, requests: Sequence[AccessRequest]) -> Sequence[Decision]:
        """Return one decision a request, in order."""
        return self._narrowed(requests, [Decision(allowed=True) for _ in requests])

    def reach(self, actor: Actor, action: Action) -> Reach:
        """Return the repositories with which ``actor`` may do something: those, and perhaps others."""
        del actor, action
        return EVERYTHING

    def listed(self, actor: Actor, repositories: Sequence[str]) -> Sequence[bool]:
        """Tell of each repository whether ``actor`` may see it in a list, as :meth:`authorize` would, for a page.

        Raises :class:`Denied` where a plugin could not tell: a list without what it was to decide about misleads.
        """
        if self._denials is None:
            return self._listed(actor, repositories)
        requests = [AccessRequest(actor, Action.LIST, RepositoryName(name)) for name in repositories]
        decisions = self.authorize(requests) if requests else ()
        for request, decision in zip(requests, decisions, strict=True):
            if decision.failed:
                refuse(request, decision)
        return [decision.allowed for decision in decisions]

    def _listed(self, actor: Actor, repositories: Sequence[str]) -> Sequence[bool]:
        """Answer :meth:`listed` where no plugin is asked."""
        del actor
        return [True] * len(repositories)

    def begin(self) -> None:
        """Begin another request in this thread, or what is none."""

    def require_own(self, actor: Actor, principal: str) -> None:
        """Raise as :meth:`require` does unless the actor is the principal itself, or administers the registry."""
        self.require(actor, own_action(actor, principal), None, principal)

    def require(self, actor: Actor, action: Action, repository: RepositoryName | None, reference: str = "") -> None:
        """Raise :class:`Denied` or :class:`Unauthorized` that name the missing action unless it is allowed."""
        request = AccessRequest(actor, action, repository, reference)
        (decision,) = self.authorize([request])
        if not decision.allowed:
            refuse(request, decision)

    def _narrowed(
        self,
        requests: Sequence[AccessRequest],
        decisions: Sequence[Decision],
        teams: Mapping[str, Sequence[str]] = NO_TEAMS,
    ) -> Sequence[Decision]:
        """Return the decisions with what plugins refuse of it."""
        return decisions if self._denials is None else self._denials.narrow(requests, decisions, teams)


@dataclass(slots=True)
class _Asked:
    """What was allowed in this request, and the revision at which the first of it was."""

    revision: int
    requests: list[AccessRequest] = field(default_factory=list)


_asked: ContextVar[_Asked | None] = ContextVar("asked", default=None)


class PolicyAuthorizer(Authorizer):
    """Decides by the rules of the policy, and by what the credential is good for."""

    def __init__(
        self, standings: Standings, denials: Denials | None, clock_ms: Callable[[], int], notes: Notes
    ) -> None:
        """Decide by ``standings``, and let plugins refuse, at the time of ``clock_ms``.

        ``notes`` is told of what is refused.
        """
        super().__init__(denials, clock_ms)
        self._standings = standings
        self._notes = notes

    def at(self, clock_ms: Callable[[], int]) -> PolicyAuthorizer:
        """Return one that decides by the policy alone, at another time."""
        return PolicyAuthorizer(self._standings, None, clock_ms, self._notes)

    def authorize(self, requests: Sequence[AccessRequest]) -> Sequence[Decision]:
        """Return one decision a request, in order."""
        standing = self._standings.now(at_once=any(one.action in CHANGING for one in requests))
        return self.decide_all(standing, requests)

    def decide_all(self, standing: Standing, requests: Sequence[AccessRequest]) -> Sequence[Decision]:
        """Return what the policy of ``standing``, the credentials and the plugins say."""
        return self._narrowed(requests, [self.decide(standing, one) for one in requests], standing.teams)

    def reach(self, actor: Actor, action: Action) -> Reach:
        """Return the repositories with which ``actor`` may do something: those, and perhaps others."""
        if actor.kind is Kind.INSIDER:
            return EVERYTHING
        if actor.granted is not None:
            return actor.granted.reach()
        return self._standings.now().reach(actor, action)

    def _listed(self, actor: Actor, repositories: Sequence[str]) -> Sequence[bool]:
        """Decide about a page at once, as :meth:`decide` would about each."""
        standing = self._standings.now()
        if self._outdated(standing, actor) is not None:
            return [False] * len(repositories)
        if actor.granted is not None:
            asked = [AccessRequest(actor, Action.LIST, RepositoryName(name)) for name in repositories]
            return [self.decide(standing, one).allowed for one in asked]
        verdicts = standing.verdicts_of(actor, Action.LIST, repositories, self._clock_ms)
        if actor.kind is Kind.INSIDER:
            return [verdict.allowed or verdict.rule is None for verdict in verdicts]
        allowed = [verdict.allowed for verdict in verdicts]
        limits = actor.limits
        if limits is None or limits.allow_everywhere(Action.LIST):
            return allowed
        return [may and limits.allow(Action.LIST, name) for may, name in zip(allowed, repositories, strict=True)]

    def require(self, actor: Actor, action: Action, repository: RepositoryName | None, reference: str = "") -> None:
        """Raise :class:`Denied` or :class:`Unauthorized` that name the missing action unless it is allowed.

        What is allowed here is compared once more inside of the transaction that follows from it.
        """
        self._require(AccessRequest(actor, action, repository, reference), changing=action in CHANGING)

    def require_own(self, actor: Actor, principal: str) -> None:
        """Raise as :meth:`require` does unless the actor is the principal itself, or administers the registry."""
        request = AccessRequest(actor, own_action(actor, principal), None, principal)
        self._require(request, changing=True)

    def _require(self, request: AccessRequest, *, changing: bool) -> None:
        standing = self._standings.now(at_once=changing)
        (decision,) = self.decide_all(standing, [request])
        if not decision.allowed:
            self._refuse(standing, request, decision)
        RULE.set(decision.rule)
        if changing and request.actor.kind is not Kind.INSIDER:
            asked = _asked.get()
            if asked is None:
                asked = _Asked(standing.revision)
                _asked.set(asked)
            asked.requests.append(request)

    def begin(self) -> None:
        """Forget what was allowed before: another request begins in this thread, or what is none."""
        _asked.set(None)
        RULE.set("")

    def confirm(self, connection: Connection) -> None:
        """Ask the policy again, in a transaction, where it has changed since; raises as :meth:`require` does.

        Plugins were asked before, and are not asked here: one that is slow would keep all others from writing.
        """
        asked = _asked.get()
        if asked is None or self._standings.revision(connection) == asked.revision:
            return
        standing = self._standings.now(at_once=True)
        for request in asked.requests:
            decision = self.decide(standing, request)
            if not decision.allowed:
                self._refuse(standing, request, decision)
        asked.revision = standing.revision

    def _refuse(self, standing: Standing, request: AccessRequest, decision: Decision) -> NoReturn:
        """Refuse, note that, and name the rule that denies it to who may read the rules."""
        self._notes.note(
            request.actor,
            DENIED_KIND,
            DENIED,
            repository=str(request.repository or ""),
            reference=request.reference,
            action=request.action.value,
            rule=decision.rule,
            detail=noted(request, decision),
        )
        reads = AccessRequest(request.actor, Action.ADMIN, None)
        refuse(request, decision, named=bool(decision.rule) and self.decide(standing, reads).allowed)

    def decide(self, standing: Standing, request: AccessRequest) -> Decision:
        """Return what the policy of ``standing`` says, and what the credential is good for, without any plugin."""
        actor, action = request.actor, request.action
        if (gone := self._outdated(standing, actor)) is not None:
            return Decision(allowed=False, reason=gone)
        name = None if request.repository is None else request.repository.value
        if actor.granted is not None:
            return self._granted(standing, request, actor.granted)
        if name is None and action is Action.LIST:
            may = actor.kind is not Kind.ANONYMOUS or not standing.reach(actor, action).empty
            decision = Decision(may)
        else:
            verdict = standing.verdict(actor, action, name, request.tag, self._clock_ms, any_tag=request.any_tag)
            rule = verdict.rule.name if verdict.rule else ""
            allowed = verdict.allowed or (verdict.rule is None and actor.kind is Kind.INSIDER)
            decision = Decision(allowed, rule=rule)
        if decision.allowed and actor.limits is not None and not actor.limits.allow(action, name):
            return Decision(allowed=False, rule=decision.rule, elsewhere=True)
        return decision

    def _granted(self, standing: Standing, request: AccessRequest, granted: TokenLimits) -> Decision:
        """Return what a token of an external service grants, unless a rule denies it; to administer, none does."""
        actor, action = request.actor, request.action
        name = None if request.repository is None else request.repository.value
        verdict = standing.verdict(actor, action, name, request.tag, self._clock_ms, any_tag=request.any_tag)
        if verdict.rule is not None and not verdict.allowed:
            return Decision(allowed=False, rule=verdict.rule.name)
        if action is Action.ADMIN:
            return Decision(allowed=False)
        allowed = granted.allow(action, name)
        return Decision(allowed, elsewhere=not allowed)

    def _outdated(self, standing: Standing, actor: Actor) -> str | None:
        """Return why the actor's credential is worth nothing any more, or None."""
        return None if actor.revision == standing.revision else self._standings.gone(standing, actor)


def own_action(actor: Actor, principal: str) -> Action:
    """Return what is needed to change what is a principal's own: of itself, to be known."""
    return Action.LIST if actor.is_itself(principal) else Action.ADMIN
