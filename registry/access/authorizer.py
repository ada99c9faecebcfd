"""The one decision about access. Every service asks here before it opens a transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NoReturn

from sqlalchemy import Connection

from registry.access.actions import Action, least_role
from registry.access.actors import Actor, Kind
from registry.access.limits import TokenLimits
from registry.access.reach import EVERYTHING, Reach
from registry.access.standing import Standing, Standings
from registry.errors import Denied, Unauthorized
from registry.names import RepositoryName

__all__ = ["AccessRequest", "Action", "Authorizer", "Decision", "PolicyAuthorizer"]

_OF_TAGS = frozenset({Action.PULL, Action.PUSH, Action.DELETE})
_CHANGING = frozenset({Action.PUSH, Action.DELETE, Action.ADMIN})
_TOKEN_ACTIONS = {Action.PULL: "pull", Action.LIST: "pull", Action.PUSH: "pull,push", Action.DELETE: "delete"}
_ALL_ACTIONS = "*"


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
    and the credential does not: another one of the same principal would do.
    """

    allowed: bool
    reason: str = ""
    rule: str = ""
    elsewhere: bool = False


class Authorizer:
    """Decides access. Without authentication, whoever reaches the registry may do everything."""

    def authorize(self, requests: Sequence[AccessRequest]) -> Sequence[Decision]:
        """Return one decision a request, in order."""
        return [Decision(allowed=True) for _ in requests]

    def reach(self, actor: Actor, action: Action) -> Reach:
        """Return the repositories with which ``actor`` may do something: those, and perhaps others."""
        del actor, action
        return EVERYTHING

    def begin(self) -> None:
        """Begin another request in this thread, or what is none."""

    def require_own(self, actor: Actor, principal: str) -> None:
        """Raise as :meth:`require` does unless the actor is the principal itself, or administers the registry."""
        self.require(actor, _own_action(actor, principal), None, principal)

    def require(self, actor: Actor, action: Action, repository: RepositoryName | None, reference: str = "") -> None:
        """Raise :class:`Denied` or :class:`Unauthorized` that name the missing action unless it is allowed."""
        request = AccessRequest(actor, action, repository, reference)
        (decision,) = self.authorize([request])
        if not decision.allowed:
            _refuse(request, decision)


@dataclass(slots=True)
class _Asked:
    """What was allowed in this request, and the revision at which the first of it was."""

    revision: int
    requests: list[AccessRequest] = field(default_factory=list)


_asked: ContextVar[_Asked | None] = ContextVar("asked", default=None)


class PolicyAuthorizer(Authorizer):
    """Decides by the rules of the policy, and by what the credential is good for."""

    def __init__(self, standings: Standings, clock_ms: Callable[[], int]) -> None:
        """Decide by ``standings``, at the time of ``clock_ms``."""
        self._standings = standings
        self._clock_ms = clock_ms

    def authorize(self, requests: Sequence[AccessRequest]) -> Sequence[Decision]:
        """Return one decision a request, in order."""
        standing = self._standings.now(at_once=any(one.action in _CHANGING for one in requests))
        return [self.decide(standing, one) for one in requests]

    def reach(self, actor: Actor, action: Action) -> Reach:
        """Return the repositories with which ``actor`` may do something: those, and perhaps others."""
        if actor.kind is Kind.INSIDER:
            return EVERYTHING
        if actor.granted is not None:
            return actor.granted.reach()
        return self._standings.now().reach(actor, action)

    def require(self, actor: Actor, action: Action, repository: RepositoryName | None, reference: str = "") -> None:
        """Raise :class:`Denied` or :class:`Unauthorized` that name the missing action unless it is allowed.

        What is allowed here is compared once more inside of the transaction that follows from it.
        """
        self._require(AccessRequest(actor, action, repository, reference), changing=action in _CHANGING)

    def require_own(self, actor: Actor, principal: str) -> None:
        """Raise as :meth:`require` does unless the actor is the principal itself, or administers the registry."""
        request = AccessRequest(actor, _own_action(actor, principal), None, principal)
        self._require(request, changing=True)

    def _require(self, request: AccessRequest, *, changing: bool) -> None:
        standing = self._standings.now(at_once=changing)
        decision = self.decide(standing, request)
        if not decision.allowed:
            self._refuse(standing, request, decision)
        if changing and request.actor.kind is not Kind.INSIDER:
            asked = _asked.get()
            if asked is None:
                asked = _Asked(standing.revision)
                _asked.set(asked)
            asked.requests.append(request)

    def begin(self) -> None:
        """Forget what was allowed before: another request begins in this thread, or what is none."""
        _asked.set(None)

    def confirm(self, connection: Connection) -> None:
        """Ask again, in a transaction, where the policy has changed since; raises as :meth:`require` does."""
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
        """Refuse, and name the rule that denies it to who may read the rules."""
        reads = AccessRequest(request.actor, Action.ADMIN, None)
        _refuse(request, decision, named=bool(decision.rule) and self.decide(standing, reads).allowed)

    def decide(self, standing: Standing, request: AccessRequest) -> Decision:
        """Return what the policy of ``standing`` says, and what the credential is good for."""
        actor, action = request.actor, request.action
        known = actor.revision == standing.revision
        if not known and (gone := self._standings.gone(standing, actor)) is not None:
            return Decision(allowed=False, reason=gone)
        name = None if request.repository is None else request.repository.value
        if actor.granted is not None:
            return self._granted(standing, request, actor.granted)
        if name is None and action is Action.LIST:
            may = actor.kind is not Kind.ANONYMOUS or not self.reach(actor, action).empty
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


def _own_action(actor: Actor, principal: str) -> Action:
    """Return what is needed to change what is a principal's own: of itself, to be known."""
    return Action.LIST if actor.is_itself(principal) else Action.ADMIN


def _refuse(request: AccessRequest, decision: Decision, *, named: bool = False) -> NoReturn:
    """Raise what tells a client which action is missing, where, and what to do about it; the rule only if ``named``."""
    actor, action, repository = request.actor, request.action, request.repository
    where = "the registry as a whole" if repository is None else repository.value
    detail = {"action": action.value, "repository": str(repository or ""), "reference": request.reference}
    wanted = _scope(action, repository)
    if actor.kind is Kind.ANONYMOUS:
        message = f"{action} on {where} needs credentials: log in"
        raise Unauthorized(message, detail=detail, wanted=wanted)
    if decision.reason:
        raise Unauthorized(decision.reason, detail=detail, wanted=wanted, reason="invalid_token")
    if decision.elsewhere and actor.token:
        message = f"this token is not for {action} on {where}"
        raise Unauthorized(message, detail=detail, wanted=wanted, reason="insufficient_scope")
    if decision.elsewhere:
        reason = f"the scopes of this API key do not include {action} on {where}"
    else:
        lacks = f"role {least_role(action)} is missing" if not decision.rule else "a rule denies it"
        reason = f"{actor.principal} may not {action} on {where}: {lacks}"
    if named:
        detail["rule"] = decision.rule
    raise Denied(reason, detail=detail)


def _scope(action: Action, repository: RepositoryName | None) -> str:
    """Return the scope of a token that would do (Docker, "Token Scope Documentation")."""
    if repository is None:
        return "registry:catalog:*"
    return f"repository:{repository}:{_TOKEN_ACTIONS.get(action, _ALL_ACTIONS)}"
