"""The policy: rules that say who may do what, where, and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.access.policies import PolicyRow
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import MOST_POLICY, Body
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import moment
from registry.errors import PaginationInvalid, PrincipalUnknown, RuleInvalid, RuleTaken, RuleUnknown
from registry.revisions import Condition

blueprint = Blueprint("api_policy", __name__, url_prefix=PREFIX)


class PolicyRule(msgspec.Struct):
    """A rule of the policy."""

    name: str
    definition: dict[str, Any]
    actor: str
    created: datetime
    updated: datetime


class NewPolicyRule(Body):
    """A rule to make. ``definition`` holds ``to``, ``on``, ``role`` and the like: docs/access.md."""

    name: str
    definition: dict[str, Any]


class PolicyRuleChange(Body):
    """The definition that replaces the rule's."""

    definition: dict[str, Any]


class Policy(msgspec.Struct):
    """All rules: definitions by name."""

    rules: dict[str, dict[str, Any]]


class PolicyWish(Body):
    """All rules that there shall be: definitions by name. With ``dry_run`` nothing is changed."""

    body_limit: ClassVar[int] = MOST_POLICY
    rules: dict[str, dict[str, Any]]
    dry_run: bool = False


class PolicyChanges(msgspec.Struct):
    """Names of the rules that were made, changed and removed (or would be), and how many stay the same."""

    made: list[str]
    changed: list[str]
    removed: list[str]
    same: int


@operation(blueprint, "GET", "/policy")
def show_policy(actor: Actor) -> Reply[Policy]:
    """Show all rules at once, as they can be sent back."""
    whole = services().access.policies.whole(actor)
    return Reply(Policy({row.name: dict(row.definition) for row in whole.rules}), etag=whole.revision)


@operation(blueprint, "PUT", "/policy", errors=(RuleInvalid, PrincipalUnknown))
def replace_policy(actor: Actor, wanted: PolicyWish, condition: Condition) -> PolicyChanges:
    """Make these rules all there are, in one step."""
    done = services().access.policies.replace(actor, wanted.rules, dry_run=wanted.dry_run, condition=condition)
    return PolicyChanges(list(done.made), list(done.changed), list(done.removed), done.same)


@operation(blueprint, "GET", "/policy/rules", errors=(PaginationInvalid,))
def list_policy_rules(actor: Actor, query: PageQuery) -> PageOf[PolicyRule]:
    """List rules by name."""
    (last,) = query.after("")
    page = services().access.policies.list(actor, query.size, str(last))
    return page_of(page, _shown, lambda row: (row.name,))


@operation(blueprint, "POST", "/policy/rules", status=201, errors=(RuleInvalid, RuleTaken, PrincipalUnknown))
def create_policy_rule(actor: Actor, wanted: NewPolicyRule) -> Reply[PolicyRule]:
    """Make a rule; it holds from the next request on."""
    row = services().access.policies.create(actor, wanted.name, wanted.definition)
    return Reply(_shown(row), etag=row.revision, location=f"/policy/rules/{row.name}")


@operation(blueprint, "GET", "/policy/rules/{rule}", errors=(RuleUnknown,))
def show_policy_rule(actor: Actor, rule: str) -> Reply[PolicyRule]:
    """Show a rule."""
    row = services().access.policies.show(actor, rule)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "PUT", "/policy/rules/{rule}", errors=(RuleUnknown, RuleInvalid, PrincipalUnknown))
def change_policy_rule(actor: Actor, rule: str, wanted: PolicyRuleChange, condition: Condition) -> Reply[PolicyRule]:
    """Replace a rule's definition."""
    row = services().access.policies.change(actor, rule, wanted.definition, condition)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "DELETE", "/policy/rules/{rule}", errors=(RuleUnknown,))
def delete_policy_rule(actor: Actor, rule: str, condition: Condition) -> None:
    """Remove a rule."""
    services().access.policies.delete(actor, rule, condition)


def _shown(row: PolicyRow) -> PolicyRule:
    return PolicyRule(row.name, dict(row.definition), row.actor, moment(row.created_ms), moment(row.updated_ms))
