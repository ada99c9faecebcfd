"""Retention as callers see it: plans, which change nothing, and runs, which remove what a plan names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby

from sqlalchemy import Connection

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.audit.entries import write
from registry.batches import batched
from registry.db.engine import Database
from registry.errors import PlanOutdated
from registry.manifests.deletion import ManifestDeletion
from registry.names import RepositoryName
from registry.pages import Page
from registry.repositories.periods import Periods
from registry.repositories.protection import Protection
from registry.repositories.repositories import require_repository
from registry.retention import plans
from registry.retention.decision import Fate
from registry.retention.definition import RetentionRule
from registry.retention.planner import Planner
from registry.retention.plans import Entry, Plan, State
from registry.retention.rules import rules_of
from registry.retention.runner import AT_ONCE, Outcome, Remover, Run

DRAFTS = "drafts"
"""Stands for the digest of rules where some were only tried."""
Progress = Callable[[int, int], None]
"""Is told how many of how many are done."""
Stopping = Callable[[], bool]


def no_progress(done: int, total: int, /) -> None:
    """Tell nobody."""


def never(*_: object) -> bool:
    """Go on to the end."""
    return False


class RetentionService:
    """Makes plans for repositories, shows them and carries them out."""

    def __init__(
        self,
        database: Database,
        authorizer: Authorizer,
        protection: Protection,
        periods: Periods,
        deletion: ManifestDeletion,
    ) -> None:
        """Work on ``database``, as far as ``authorizer`` and ``protection`` allow."""
        self._database = database
        self._authorizer = authorizer
        self._protection = protection
        self._remover = Remover(database, protection, periods, deletion)

    def plan(
        self,
        actor: Actor,
        repository: RepositoryName,
        *,
        drafts: Sequence[RetentionRule] = (),
        removals_only: bool = False,
    ) -> Plan:
        """Decide about everything in a repository and keep what was decided; nothing else is changed.

        ``drafts`` are rules that are tried beside those that hold, or instead of those of their names: such a plan
        cannot be carried out. With ``removals_only`` the plan lists nothing that stays. Raises
        :class:`~registry.errors.NameUnknown`.
        """
        self._authorizer.require(actor, Action.DELETE, repository)
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            found = rules_of(connection, repository_id)
            as_of = self._database.now(connection)
        rules = list({rule.name: rule for rule in (*found.rules, *drafts)}.values())
        planner = Planner(self._database, self._protection, repository_id, rules, as_of)
        by = DRAFTS if drafts else found.digest
        begin = partial(plans.start, actor=actor, repository_id=repository_id, as_of=as_of, rules=by)
        plan_id = self._database.write(begin)
        counts: Counter[str] = Counter()
        listed = _counted(planner.entries(), counts, removals_only=removals_only)
        for number, page in enumerate(batched(listed, plans.PAGE)):
            add = partial(plans.add_page, plan_id=plan_id, number=number, entries=page)
            self._database.write(add, durable=False)
        self._database.write(partial(plans.ready, plan_id=plan_id, counts=counts))
        return self.describe(actor, repository, plan_id)

    def describe(self, actor: Actor, repository: RepositoryName, plan_id: int) -> Plan:
        """Return a plan; raises :class:`~registry.errors.PlanUnknown`."""
        self._authorizer.require(actor, Action.PULL, repository)
        with self._database.read() as connection:
            return plans.find(connection, require_repository(connection, repository), plan_id)

    def list(self, actor: Actor, repository: RepositoryName, before: int, limit: int) -> Page[Plan]:
        """Return at most ``limit`` plans with ids below ``before``, the newest first."""
        self._authorizer.require(actor, Action.PULL, repository)
        with self._database.read() as connection:
            return plans.newest(connection, require_repository(connection, repository), before, limit)

    def entries(
        self,
        actor: Actor,
        repository: RepositoryName,
        plan_id: int,
        *,
        after: int = -1,
        limit: int = plans.PAGE,
        fate: Fate | None = None,
    ) -> Page[tuple[int, Entry]]:
        """Return a page of a plan's entries, of one ``fate`` if given, each with the position to go on ``after``.

        Raises :class:`~registry.errors.PlanUnknown`.
        """
        self._authorizer.require(actor, Action.PULL, repository)
        with self._database.read() as connection:
            plans.find(connection, require_repository(connection, repository), plan_id)
            return plans.entries_after(connection, plan_id, after, limit, fate)

    def run(
        self,
        actor: Actor,
        repository: RepositoryName,
        plan_id: int,
        *,
        most: int | None = None,
        progress: Progress = no_progress,
        stopping: Stopping = never,
    ) -> Outcome:
        """Remove what a plan names, but for what was moved, pulled, pushed or protected since; returns what was done.

        It ends early after ``most`` entries, or when ``stopping``; the next run goes on from there. Raises
        :class:`~registry.errors.PlanUnknown`, and :class:`PlanOutdated` where the rules are others, the plan is not
        finished or was carried out, or another run carries it out.
        """
        self._authorizer.require(actor, Action.DELETE, repository)
        plan = self.describe(actor, repository, plan_id)
        if plan.state is not State.READY:
            why = "is still being made, or never was finished" if plan.state is State.MAKING else "was carried out"
            raise PlanOutdated(f"this plan {why}: make a new one", detail={"plan": plan_id})
        if plan.removals:
            self._database.write(partial(self._keep, actor=actor, repository=repository, plan=plan_id), durable=False)
        made_for = {entry.id for _, entry in self._removals(plan, 0) if entry.subject}
        run = Run(actor, plan, made_for, plan.position, Outcome.read(plan.result))
        enough = plan.removals if most is None else run.outcome.done + most
        for batch in self._batches(plan):
            if stopping() or run.outcome.done >= enough:
                return run.outcome
            run = self._remover.remove(run, batch)
            progress(run.outcome.done, plan.removals)
        self._database.write(partial(plans.over, plan_id=plan_id))
        return run.outcome

    def _keep(self, connection: Connection, actor: Actor, repository: RepositoryName, plan: int) -> None:
        """Write to the audit log that a plan is carried out."""
        write(
            self._database,
            connection,
            actor,
            "retention.run",
            "",
            {"plan": plan},
            repository=repository.value,
            action=Action.DELETE,
        )

    def _batches(self, plan: Plan) -> Iterator[Sequence[tuple[int, Entry]]]:
        """Yield what is left of a plan's removals, in parts of one kind each; what goes with others comes apart."""
        for _, alike in groupby(
            self._removals(plan, plan.position), key=lambda one: (one[1].kind, bool(one[1].subject))
        ):
            yield from batched(alike, AT_ONCE)

    def _removals(self, plan: Plan, position: int) -> Iterator[tuple[int, Entry]]:
        after, more = position - 1, True
        while more:
            with self._database.read() as connection:
                page = plans.entries_after(connection, plan.id, after, plans.PAGE, Fate.REMOVE)
            yield from page.items
            more = page.more
            after = page.items[-1][0] if page.items else after


def _counted(entries: Iterator[Entry], counts: Counter[str], *, removals_only: bool) -> Iterator[Entry]:
    for entry in entries:
        counts[f"{entry.kind} {entry.fate}"] += 1
        if entry.fate == Fate.REMOVE or not removals_only:
            yield entry
