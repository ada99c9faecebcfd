"""Retention: plans, which change nothing, and their runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import maybe_moment, moment
from registry.errors import NameInvalid, NameUnknown, PaginationInvalid, PlanOutdated, PlanUnknown, RuleInvalid
from registry.names import RepositoryName
from registry.retention.decision import Fate
from registry.retention.definition import parse_rule
from registry.retention.plans import Entry, Kind, Plan, State
from registry.retention.runner import Outcome

blueprint = Blueprint("api_retention", __name__, url_prefix=PREFIX)

_LAST_ID = (1 << 63) - 1
_OF_ONE = (NameInvalid, NameUnknown, PlanUnknown)
RuleName = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class Draft(Body):
    """A rule that is tried: its definition, as a rule of retention has it."""

    name: RuleName
    definition: dict[str, Any]


class NewRetentionPlan(Body):
    """What to plan by, beside the rules that hold; a plan with drafts cannot be carried out."""

    drafts: Annotated[list[Draft], msgspec.Meta(max_length=20)] = msgspec.field(default_factory=list)


class Fates(msgspec.Struct):
    """How many are to be removed, kept by a rule or protected, and covered by no rule."""

    remove: int
    keep: int
    not_covered: int


class Left(msgspec.Struct):
    """What a run left alone though its plan names it, and why."""

    name: str
    reason: str


class RetentionRun(msgspec.Struct):
    """What runs of a plan did so far: ``done`` of ``total`` entries, with the first hundred names of each kind."""

    done: int
    total: int
    removed_tags: int
    removed_manifests: int
    skipped: int
    removed_first: list[str]
    skipped_first: list[Left]


class RetentionPlan(msgspec.Struct):
    """A plan, decided at ``as_of``. A run removes nothing that it does not name."""

    id: int
    as_of: datetime
    state: State
    tags: Fates
    untagged: Fates
    run: RetentionRun


class RetentionEntry(msgspec.Struct):
    """What becomes of a tag or an untagged manifest (``tag`` is null), by which rules and why.

    ``subject`` is the manifest that a tag was made for, as signatures are: it goes and stays with that.
    """

    tag: str | None
    digest: str
    fate: Fate
    rule: str | None
    why: str
    subject: str | None
    last_pulled: datetime | None


class EntriesQuery(PageQuery):
    """Which entries: all, or those of one fate."""

    fate: Fate | None = None


class NewRetentionRun(Body):
    """How much to do before it answers: at most so many entries; the next run goes on from there."""

    most: Annotated[int, msgspec.Meta(ge=1)] | None = None


@operation(
    blueprint, "POST", "/repositories/{name}/-/retention", status=201, errors=(NameInvalid, NameUnknown, RuleInvalid)
)
def plan_retention(actor: Actor, name: RepositoryName, wanted: NewRetentionPlan) -> Reply[RetentionPlan]:
    """Decide what rules of retention remove from a repository and what they keep; changes nothing."""
    drafts = [parse_rule(draft.name, draft.definition) for draft in wanted.drafts]
    plan = services().retention.plan(actor, name, drafts=drafts)
    return Reply(_shown(plan), location=f"/repositories/{name}/-/retention/{plan.id}")


@operation(blueprint, "GET", "/repositories/{name}/-/retention", errors=(NameInvalid, NameUnknown, PaginationInvalid))
def list_retention_plans(actor: Actor, name: RepositoryName, query: PageQuery) -> PageOf[RetentionPlan]:
    """List the plans of the last thirty days, the newest first."""
    (before,) = query.after(_LAST_ID)
    page = services().retention.list(actor, name, int(before), query.size)
    return page_of(page, _shown, lambda plan: (plan.id,))


@operation(blueprint, "GET", "/repositories/{name}/-/retention/{plan}", errors=_OF_ONE)
def show_retention_plan(actor: Actor, name: RepositoryName, plan: int) -> RetentionPlan:
    """Show a plan, and what runs of it did so far."""
    return _shown(services().retention.describe(actor, name, plan))


@operation(blueprint, "GET", "/repositories/{name}/-/retention/{plan}/entries", errors=(*_OF_ONE, PaginationInvalid))
def list_retention_entries(
    actor: Actor, name: RepositoryName, plan: int, query: EntriesQuery
) -> PageOf[RetentionEntry]:
    """List every tag and untagged manifest of a plan, with what becomes of it and the rule that decides.

    Plans that the daily job made list what they remove alone.
    """
    (after,) = query.after(-1)
    page = services().retention.entries(actor, name, plan, after=int(after), limit=query.size, fate=query.fate)
    return page_of(page, lambda one: _entry(one[1]), lambda one: (one[0],))


@operation(blueprint, "POST", "/repositories/{name}/-/retention/{plan}/run", errors=(*_OF_ONE, PlanOutdated))
def run_retention_plan(actor: Actor, name: RepositoryName, plan: int, wanted: NewRetentionRun) -> RetentionRun:
    """Remove what a plan names, but for what was moved, pulled, pushed or protected since."""
    outcome = services().retention.run(actor, name, plan, most=wanted.most)
    return _run(services().retention.describe(actor, name, plan), outcome)


def _shown(plan: Plan) -> RetentionPlan:
    tags, untagged = _fates(plan.counts, Kind.TAG), _fates(plan.counts, Kind.MANIFEST)
    return RetentionPlan(
        plan.id, moment(plan.as_of_ms), plan.state, tags, untagged, _run(plan, Outcome.read(plan.result))
    )


def _fates(counts: Mapping[str, int], kind: Kind) -> Fates:
    remove, keep, uncovered = (counts.get(f"{kind} {fate}", 0) for fate in (Fate.REMOVE, Fate.KEEP, Fate.UNCOVERED))
    return Fates(remove, keep, uncovered)


def _run(plan: Plan, outcome: Outcome) -> RetentionRun:
    return RetentionRun(
        outcome.done,
        plan.removals,
        outcome.tags,
        outcome.manifests,
        outcome.skips,
        list(outcome.removed),
        [Left(*one) for one in outcome.skipped],
    )


def _entry(entry: Entry) -> RetentionEntry:
    return RetentionEntry(
        entry.name or None,
        entry.digest,
        Fate(entry.fate),
        entry.rule or None,
        entry.why,
        entry.subject or None,
        maybe_moment(entry.pulled_ms),
    )
