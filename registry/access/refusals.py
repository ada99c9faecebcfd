"""Refusals: what a client is told of one, and what is noted of it."""

from __future__ import annotations

from typing import NoReturn

from registry.access.actions import Action, least_role
from registry.access.actors import Kind
from registry.access.limits import key_lacks
from registry.access.requests import AccessRequest, Decision
from registry.audit.entries import CREDENTIAL, PLUGIN, bounded, encode
from registry.errors import Denied, Unauthorized
from registry.names import RepositoryName

_TOKEN_ACTIONS = {Action.PULL: "pull", Action.LIST: "pull", Action.PUSH: "pull,push", Action.DELETE: "delete"}
_ALL_ACTIONS = "*"
_SEE_LOG = "the registry's log says how"


def refuse(request: AccessRequest, decision: Decision, *, named: bool = False) -> NoReturn:
    """Raise what tells a client which action is missing, where, and what to do about it; the rule only if ``named``."""
    actor, action, repository = request.actor, request.action, request.repository
    where = "the registry as a whole" if repository is None else repository.value
    detail = {"action": action.value, "repository": str(repository or ""), "reference": request.reference}
    wanted, name = _scope(action, repository), None if repository is None else repository.value
    if decision.plugin:
        detail["plugin"] = decision.plugin
        if decision.failed:
            raise Denied(f"refused, as the plugin {decision.plugin} failed: {_SEE_LOG}", detail=detail)
        raise Denied(f"refused by {decision.plugin}: {decision.reason}", detail={**detail, "reason": decision.reason})
    if actor.kind is Kind.ANONYMOUS:
        message = f"{action} on {where} needs credentials: log in"
        raise Unauthorized(message, detail=detail, wanted=wanted)
    if decision.reason:
        raise Unauthorized(decision.reason, detail=detail, wanted=wanted, reason="invalid_token")
    if decision.elsewhere and actor.token and not key_lacks(actor.limits, action, name):
        message = f"this token is not for {action} on {where}"
        raise Unauthorized(message, detail=detail, wanted=wanted, reason="insufficient_scope")
    if decision.elsewhere:
        holder = "the trusts that this token fits" if actor.proof and actor.proof.trust_ids else "this API key"
        reason = f"the scopes of {holder} do not include {action} on {where}"
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


def noted(request: AccessRequest, decision: Decision) -> str:
    """Return what is noted of a refusal: what else than the policy refuses it, whatever the policy says."""
    actor, name = request.actor, None if request.repository is None else request.repository.value
    limits = actor.limits if actor.granted is None else actor.granted
    if decision.plugin:
        return encode({PLUGIN: decision.plugin, "why": bounded(decision.reason)})
    if decision.reason:
        return encode({CREDENTIAL: decision.reason})
    if limits is not None and not limits.allow(request.action, name):
        return encode({CREDENTIAL: "the token is not for it" if actor.token else "the key is not for it"})
    return "{}"
