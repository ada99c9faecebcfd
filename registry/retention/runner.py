"""Carrying a plan out: what it names is removed, unless somebody used or changed it since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection

from registry.db.engine import Database
from registry.digest import Digest
from registry.errors import PlanOutdated
from registry.manifests.deletion import ManifestDeletion
from registry.repositories.periods import Periods
from registry.repositories.protection import Protection
from registry.repositories.tag_values import EndReason
from registry.retention.candidates import present, tags_again, untagged_again
from registry.retention.plans import Entry, Kind, Plan
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


@dataclass(slots=True)
class Outcome:
    """What a run did: counts, and the first of what was removed and skipped."""

    tags: int = 0
    manifests: int = 0
    skips: int = 0
    removed: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, batch: Sequence[Entry], skipped: Mapping[int, str]) -> None:
        """Count one batch; ``skipped`` gives reasons by the entries' ids."""
        for entry in batch:
            if entry.id in skipped:
                self.skips += 1
                if len(self.skipped) < SHOWN:
                    self.skipped.append(Skipped(_name(entry), skipped[entry.id]))
                continue
            if entry.kind == Kind.TAG:
                self.tags += 1
            else:
                self.manifests += 1
            if len(self.removed) < SHOWN:
                self.removed.append(_name(entry))

    def as_json(self) -> Mapping[str, object]:
        """Return the outcome in JSON's shapes."""
        return {
            "removed_tags": self.tags,
            "removed_manifests": self.manifests,
            "skipped": self.skips,
            "removed_first": list(self.removed),
            "skipped_first": [one._asdict() for one in self.skipped],
        }


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

    def remove(self, plan: Plan, batch: Sequence[Entry], made_for: set[int]) -> Mapping[int, str]:
        """Remove entries of one kind in one transaction; returns the reasons of those that stay, by id.

        ``made_for`` are all tags of the plan that go with a manifest. Raises :class:`PlanOutdated` where the rules are
        not those that decided.
        """

        def work(connection: Connection) -> Mapping[int, str]:
            if rules_of(connection, plan.repository_id).digest != plan.rules:
                raise PlanOutdated(
                    "the rules have changed since this plan was made: make a new one", detail={"plan": plan.id}
                )
            now = self._database.now(connection)
            if batch[0].kind == Kind.TAG:
                return self._remove_tags(connection, now, plan, batch, made_for)
            return self._remove_manifests(connection, now, plan, batch)

        return self._database.write(work)

    def _remove_tags(
        self, connection: Connection, now: int, plan: Plan, batch: Sequence[Entry], made_for: set[int]
    ) -> Mapping[int, str]:
        survivors = Survivors(plan.repository_id, now, Gone(tags=made_for))
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
        self._periods.delete(connection, now, plan.repository_id, rows, EndReason.RETENTION)
        return skipped

    def _remove_manifests(
        self, connection: Connection, now: int, plan: Plan, batch: Sequence[Entry]
    ) -> Mapping[int, str]:
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
                self._deletion.delete_row(connection, now, plan.repository_id, digest, EndReason.RETENTION)
        return skipped


def _use_since(entry: Entry, pulled_ms: int | None, lease_until: int) -> str | None:
    if pulled_ms != entry.pulled_ms:
        return "it was pulled since"
    if lease_until != entry.lease_until:
        return "it was pushed again or named since"
    return None


def _name(entry: Entry) -> str:
    return entry.name or entry.digest
