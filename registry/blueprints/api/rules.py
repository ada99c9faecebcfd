"""House rules: immutability and retention, by repository, by namespace, or everywhere."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import repository, services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, cursor_of, page_of
from registry.blueprints.api._times import maybe_moment, moment
from registry.errors import NameInvalid, NameUnknown, PaginationInvalid, RuleInvalid, RuleTaken, RuleUnknown
from registry.names import RepositoryName
from registry.repositories.rules import RuleRow, Scope
from registry.revisions import Condition

blueprint = Blueprint("api_rules", __name__, url_prefix=PREFIX)
RuleName = Annotated[str, msgspec.Meta(max_length=255)]


class Rule(msgspec.Struct):
    """A rule; with neither repository nor namespace it holds everywhere."""

    name: str
    kind: str
    namespace: str | None
    repository: str | None
    definition: dict[str, Any]
    actor: str
    created: datetime
    updated: datetime


class RulesQuery(PageQuery):
    """Which rules: of a kind, of a repository alone, of a namespace alone."""

    kind: str | None = None
    repository: str | None = None
    namespace: str | None = None


class NewRule(Body):
    """A rule to make; ``kind`` is immutability or retention, which says what a definition is."""

    name: RuleName
    kind: str
    definition: dict[str, Any]
    namespace: str | None = None
    repository: str | None = None


class RuleChange(Body):
    """The definition that replaces the rule's."""

    definition: dict[str, Any]


class TriedRule(Body):
    """A definition of an immutability rule to try."""

    definition: dict[str, Any]


class Protected(msgspec.Struct):
    """A living tag that a rule would make immutable; ``age_seconds`` is how old its period is.

    ``ends`` is given where the tag has an end that the rule would forbid: it is not protected before that is cleared.
    """

    tag: str
    digest: str
    age_seconds: int
    ends: datetime | None


class ProtectedTags(msgspec.Struct):
    """Tags that a rule would make immutable now, found among so many that were tried.

    ``next`` is the cursor of those that were not tried yet, or null.
    """

    tried: int
    items: list[Protected]
    next: str | None


@operation(blueprint, "GET", "/rules", errors=(NameInvalid, PaginationInvalid))
def list_rules(actor: Actor, query: RulesQuery) -> PageOf[Rule]:
    """List rules by name."""
    (last,) = query.after("")
    scope = Scope(None if query.repository is None else repository(query.repository), query.namespace)
    page = services().rules.list(actor, query.kind, scope, query.size, str(last))
    return page_of(page, _shown, lambda row: (row.name,))


@operation(blueprint, "POST", "/rules", status=201, errors=(NameInvalid, NameUnknown, RuleInvalid, RuleTaken))
def create_rule(actor: Actor, wanted: NewRule) -> Reply[Rule]:
    """Make a rule. Retention runs by it from then on; immutability holds for tags made from then on, or for all."""
    scope = Scope(None if wanted.repository is None else repository(wanted.repository), wanted.namespace)
    row = services().rules.create(actor, wanted.name, wanted.kind, scope, wanted.definition)
    return Reply(_shown(row), etag=row.revision, location=f"/rules/{row.name}")


@operation(blueprint, "GET", "/rules/{rule}", errors=(RuleUnknown,))
def show_rule(actor: Actor, rule: str) -> Reply[Rule]:
    """Show a rule."""
    row = services().rules.describe(actor, rule)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "PUT", "/rules/{rule}", errors=(RuleUnknown, RuleInvalid))
def change_rule(actor: Actor, rule: str, wanted: RuleChange, condition: Condition) -> Reply[Rule]:
    """Replace a rule's definition."""
    row = services().rules.change(actor, rule, wanted.definition, condition)
    return Reply(_shown(row), etag=row.revision)


@operation(blueprint, "DELETE", "/rules/{rule}", errors=(RuleUnknown,))
def delete_rule(actor: Actor, rule: str, condition: Condition) -> None:
    """Remove a rule; what it protected may be moved, and end, from then on."""
    services().rules.delete(actor, rule, condition)


@operation(
    blueprint,
    "POST",
    "/repositories/{name}/-/protection",
    errors=(NameInvalid, NameUnknown, RuleInvalid, PaginationInvalid),
)
def try_protection(actor: Actor, name: RepositoryName, query: PageQuery, wanted: TriedRule) -> ProtectedTags:
    """Tell which living tags a rule of immutability would protect now; nothing is changed."""
    (last,) = query.after("")
    trial = services().protection_trial.protected(actor, name, wanted.definition, query.size, str(last))
    items = [Protected(one.name, one.digest, one.age_ms // 1000, maybe_moment(one.ends_ms)) for one in trial.found]
    return ProtectedTags(trial.tried, items, None if trial.last is None else cursor_of((trial.last,)))


def _shown(row: RuleRow) -> Rule:
    return Rule(
        row.name,
        row.kind,
        row.namespace,
        row.repository,
        dict(row.definition),
        row.actor,
        moment(row.created_ms),
        moment(row.updated_ms),
    )
