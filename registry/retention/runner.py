"""Carrying a plan out: what it names is removed, unless somebody used or changed it since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection

from registry.access.actors import Actor
from registry.db.engine import Database
from registry.digest import Digest
from registry.errors import PlanOutdated
from registry.manifests.deletion import ManifestDeletion
from registry.repositories.periods import Periods
from registry.repositories.protection import Protection
from registry.repositories.tag_values import EndReason
from registry.retention.candidates import present, tags_again, untagged_again
from registry.retention.plans import Entry, Kind, Plan, advance
from registry.retention.rules import rules_of
from registry.retention.survivors import Gone, Survivors

AT_ONCE = 100
"""So many entries are removed in one transaction."""
SHOWN = 100
"""So many of what was removed, and of what was skipped, are listed in the result."""


class Skipped(NamedTuple):
    """What a plan names and a run left alone, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What runs of a plan did so far: counts, and the first of what was removed and skipped."""

    tags: int = 0
    manifests: int = 0
    skips: int = 0
    removed: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @classmethod
    def read(cls, result: Mapping[str, Any]) -> Self:
        """Return the outcome that a plan has kept."""
        if not result:
            return cls()
        return cls(
            result["removed_tags"],
            result["removed_manifests"],
            result["skipped"],
            tuple(result["removed_first"]),
            tuple(Skipped(**one) for one in result["skipped_first"]),
        )

    @property
    def done(self) -> int:
        """How many entries were come to."""
        return self.tags + self.manifests + self.skips

    def with_batch(self, batch: Sequence[Entry], skipped: Mapping[int, str]) -> Outcome:
        """Return the outcome with one batch more; ``skipped`` gives reasons by the entries' ids."""
        removed = [entry for entry in batch if entry.id not in skipped]
        tags = sum(entry.kind == Kind.TAG for entry in removed)
        left = [Skipped(_name(entry), skipped[entry.id]) for entry in batch if entry.id in skipped]
        return Outcome(
            self.tags + tags,
            self.manifests + len(removed) - tags,
            self.skips + len(left),
            (*self.removed, *map(_name, removed))[:SHOWN],
            (*self.skipped, *left)[:SHOWN],
        )

    def as_json(self) -> Mapping[str, object]:
        """Return the outcome in JSON's shapes."""
        return {
            "removed_tags": self.tags,
            "removed_manifests": self.manifests,
            "skipped": self.skips,
            "removed_first": list(self.removed),
            "skipped_first": [one._asdict() for one in self.skipped],
        }


@dataclass(frozen=True, slots=True)
class Run:
    """How far a plan is carried out, and by whom; ``made_for`` are the periods of it that go with a manifest."""

    actor: Actor
    plan: Plan
    made_for: set[int]
    position: int
    outcome: Outcome


class Remover:
    """Removes what plans name, in small transactions."""

    def __init__(
        self, database: Database, protection: Protection, periods: Periods, deletion: ManifestDeletion
    ) -> None:
        """End tags with ``periods`` and delete manifests with ``deletion``."""
        self._database = database
        self._protection = protection
        self._periods = periods
        self._deletion = deletion

    def remove(self, run: Run, batch: Sequence[tuple[int, Entry]]) -> Run:
        """Remove entries of one kind, given with their positions, in one transaction; returns the run after it.

        Raises :class:`PlanOutdated` where the rules are not those that decided, or another run goes on as well.
        """
        plan, entries = run.plan, [entry for _, entry in batch]
        end = batch[-1][0] + 1

        def work(connection: Connection) -> Run:
            if rules_of(connection, plan.repository_id).digest != plan.rules:
                raise PlanOutdated(
                    "the rules are not those that this plan was made by: make a new one", detail={"plan": plan.id}
                )
            now = self._database.now(connection)
            remove = self._remove_tags if entries[0].kind == Kind.TAG else self._remove_manifests
            outcome = run.outcome.with_batch(entries, remove(connection, now, run, entries))
            if not advance(connection, plan.id, run.position, end, outcome.as_json()):
                raise PlanOutdated("another run carries this plan out", detail={"plan": plan.id})
            return replace(run, position=end, outcome=outcome)

        return self._database.write(work)

    def _remove_tags(self, connection: Connection, now: int, run: Run, batch: Sequence[Entry]) -> Mapping[int, str]:
        """Remove tags; returns the reasons of those that stay, by id."""
        plan = run.plan
        survivors = Survivors(self._protection, plan.repository_id, now, Gone(tags=run.made_for))
        subjects = present(connection, plan.repository_id, (entry.subject for entry in batch))
        held = survivors.held(connection, subjects.values())
        found = tags_again(connection, plan.repository_id, now, [entry.id for entry in batch])
        periods = [tag.period for tag in found.values()]
        reasons = self._protection.reasons(connection, now, plan.repository_id, periods)
        protected = dict(zip(found, reasons, strict=True))
        skipped: dict[int, str] = {}
        for entry in batch:
            tag = found.get(entry.id)
            if tag is None:
                reason: str | None = "it was moved, deleted or has ended since"
            else:
                reason = protected[entry.id] or _use_since(entry, tag.pulled_ms, tag.lease_until)
            if reason is None and subjects.get(entry.subject) in held:
                reason = f"{entry.subject} stays"
            if reason is not None:
                skipped[entry.id] = reason
        rows = [found[entry.id].period for entry in batch if entry.id not in skipped]
        self._periods.delete(connection, now, plan.repository_id, rows, EndReason.RETENTION, run.actor)
        return skipped

    def _remove_manifests(
        self, connection: Connection, now: int, run: Run, batch: Sequence[Entry]
    ) -> Mapping[int, str]:
        """Remove untagged manifests; returns the reasons of those that stay, by id."""
        found = untagged_again(connection, now, [entry.id for entry in batch])
        skipped: dict[int, str] = {}
        for entry in batch:
            manifest = found.get(entry.id)
            if manifest is None:
                skipped[entry.id] = "it was deleted, or something holds it since"
            elif manifest.label_pin:
                skipped[entry.id] = "a label pins it"
            elif reason := _use_since(entry, manifest.pulled_ms, manifest.lease_until):
                skipped[entry.id] = reason
            else:
                digest = Digest.parse(entry.digest)
                self._deletion.delete_row(
                    connection, now, run.plan.repository_id, digest, EndReason.RETENTION, run.actor
                )
        return skipped


def _use_since(entry: Entry, pulled_ms: int | None, lease_until: int) -> str | None:
    if pulled_ms != entry.pulled_ms:
        return "it was pulled since"
    if lease_until != entry.lease_until:
        return "it was pushed again or named since"
    return None


def _name(entry: Entry) -> str:
    return entry.name or entry.digest
