"""Retention over all repositories that rules decide about, or over one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from sqlalchemy import bindparam, select

from registry.access.actors import Actor
from registry.db.engine import Database
from registry.db.models import Repository, Rule
from registry.errors import RegistryError
from registry.names import RepositoryName
from registry.retention.definition import KIND
from registry.retention.rules import rules_of
from registry.retention.runner import SHOWN
from registry.retention.service import Progress, RetentionService, Stopping

_ANY_RULE = select(Rule.id).where(Rule.kind == KIND).limit(1)
_NEXT = (
    select(Repository.id, Repository.name)
    .where(Repository.current == 1, Repository.name > bindparam("after"))
    .order_by(Repository.name)
    .limit(1)
)


@dataclass(slots=True)
class Swept:
    """What was named and removed in all repositories together; the first plans and failures by repository."""

    named: int = 0
    removed_tags: int = 0
    removed_manifests: int = 0
    skipped: int = 0
    plans: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> Mapping[str, object]:
        """Return it in JSON's shapes."""
        return asdict(self)


class Sweep:
    """Makes and carries out plans, one repository after another."""

    def __init__(self, database: Database, retention: RetentionService) -> None:
        """Find repositories in ``database``."""
        self._database = database
        self._retention = retention

    def run(
        self, actor: Actor, repository: RepositoryName | None, progress: Progress, stopping: Stopping, *, dry_run: bool
    ) -> Swept:
        """Carry out retention in ``repository``, or in all that rules decide about; a dry run only makes the plans.

        Of all repositories, those where it fails are told, and the others are gone on with.
        """
        swept = Swept()
        if repository is not None:
            self._sweep(actor, repository, swept, progress, stopping, dry_run=dry_run)
            return swept
        for name in self._repositories():
            if stopping():
                break
            try:
                self._sweep(actor, name, swept, progress, stopping, dry_run=dry_run)
            except RegistryError as error:
                if len(swept.failed) < SHOWN:
                    swept.failed[name.value] = error.message
        return swept

    def _sweep(
        self,
        actor: Actor,
        name: RepositoryName,
        swept: Swept,
        progress: Progress,
        stopping: Stopping,
        *,
        dry_run: bool,
    ) -> None:
        plan = self._retention.plan(actor, name, removals_only=not dry_run)
        swept.named += plan.removals
        if plan.removals and len(swept.plans) < SHOWN:
            swept.plans[name.value] = plan.id
        if dry_run or not plan.removals:
            return
        before = swept.removed_tags + swept.removed_manifests + swept.skipped
        outcome = self._retention.run(
            actor, name, plan.id, progress=lambda done, _: progress(before + done, 0), stopping=stopping
        )
        swept.removed_tags += outcome.tags
        swept.removed_manifests += outcome.manifests
        swept.skipped += outcome.skips

    def _repositories(self) -> Iterator[RepositoryName]:
        """Yield the repositories that any rule decides about."""
        with self._database.read() as connection:
            if connection.execute(_ANY_RULE).first() is None:
                return
        after = ""
        while True:
            with self._database.read() as connection:
                row = connection.execute(_NEXT, {"after": after}).first()
                if row is None:
                    return
                decided = bool(rules_of(connection, row.id).rules)
            if decided:
                yield RepositoryName.parse(row.name)
            after = row.name
