"""Making a plan: what rules decide about every tag and every untagged manifest of one repository.

First come the tags by name, then the untagged manifests by digest, then the tags that were made for a manifest (its
signatures, or whatever names it as its subject): those go, and stay, with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from registry.db.engine import Database
from registry.repositories.protection import Protection
from registry.retention.candidates import LivingTag, UntaggedManifest, living_tags, present, untagged_manifests
from registry.retention.decision import Decision, Facts, Fate, Judge
from registry.retention.definition import About, RetentionRule
from registry.retention.plans import Entry, Kind
from registry.retention.survivors import Gone, Survivors


class Planner:
    """Decides about one repository at one time; holds no more of it than what is to be removed, and by id."""

    def __init__(
        self,
        database: Database,
        protection: Protection,
        repository_id: int,
        rules: Sequence[RetentionRule],
        as_of: int,
    ) -> None:
        """Decide by ``rules`` about what was there at ``as_of``."""
        self._database = database
        self._protection = protection
        self._repository_id = repository_id
        self._rules = rules
        self._as_of = as_of
        self._gone = Gone()

    def entries(self) -> Iterator[Entry]:
        """Yield every entry of the plan, in order."""
        yield from self._tags()
        yield from self._untagged()
        yield from self._referrers()

    def _tags(self) -> Iterator[Entry]:
        judge = Judge(self._rules, About.TAGS, self._as_of)
        if judge.needs_all:
            for page in self._pages():
                judge.see(_tag_facts(tag, "") for tag in page if not tag.subject)
        for page in self._pages():
            with self._database.read() as connection:
                found = self._protected(connection, [tag for tag in page if not tag.subject])
            decided = [(tag, judge.decide(_tag_facts(tag, reason))) for tag, reason in found]
            for tag, decision in decided:
                if decision.fate is Fate.REMOVE:
                    self._gone.tags.add(tag.period.id)
                yield _tag_entry(tag, decision)

    def _untagged(self) -> Iterator[Entry]:
        judge = Judge(self._rules, About.UNTAGGED, self._as_of)
        if judge.needs_all:
            for page in untagged_manifests(self._database, self._repository_id, self._as_of):
                judge.see(map(self._untagged_facts, page))
        for page in untagged_manifests(self._database, self._repository_id, self._as_of):
            for manifest in page:
                decision = judge.decide(self._untagged_facts(manifest))
                if decision.fate is Fate.REMOVE:
                    self._gone.manifests.add(manifest.id)
                yield _manifest_entry(manifest, decision)

    def _referrers(self) -> Iterator[Entry]:
        survivors = Survivors(self._protection, self._repository_id, self._as_of, self._gone)
        for page in self._pages():
            made_for = [tag for tag in page if tag.subject]
            if not made_for:
                continue
            with self._database.read() as connection:
                subjects = present(connection, self._repository_id, (tag.subject for tag in made_for))
                going = survivors.going(connection, subjects.values())
                found = self._protected(connection, made_for)
            for tag, reason in found:
                if reason:
                    decision = Decision(Fate.KEEP, "", reason)
                elif subjects.get(tag.subject) in going:
                    decision = Decision(Fate.REMOVE, "", f"goes with {tag.subject}")
                else:
                    decision = Decision(Fate.KEEP, "", f"stays with {tag.subject}")
                yield _tag_entry(tag, decision)

    def _pages(self) -> Iterator[Sequence[LivingTag]]:
        return living_tags(self._database, self._repository_id, self._as_of)

    def _protected(self, connection: Connection, tags: Sequence[LivingTag]) -> Sequence[tuple[LivingTag, str]]:
        periods = [tag.period for tag in tags]
        reasons = self._protection.reasons(connection, self._as_of, self._repository_id, periods)
        return [(tag, reason or "") for tag, reason in zip(tags, reasons, strict=True)]

    def _untagged_facts(self, manifest: UntaggedManifest) -> Facts:
        protected = ""
        if manifest.label_pin:
            protected = "a label pins it"
        elif manifest.lease_until > self._as_of:
            protected = "it was pushed or named just now"
        return Facts(manifest.digest, manifest.since_ms, manifest.pulled_ms, protected)


def _tag_facts(tag: LivingTag, protected: str) -> Facts:
    return Facts(tag.period.name, tag.period.lifetime_start_ms, tag.pulled_ms, protected)


def _tag_entry(tag: LivingTag, decision: Decision) -> Entry:
    period = tag.period
    return Entry(
        Kind.TAG,
        period.id,
        period.name,
        period.digest,
        decision.fate,
        decision.rule,
        decision.why,
        tag.subject,
        tag.pulled_ms,
        tag.lease_until,
    )


def _manifest_entry(manifest: UntaggedManifest, decision: Decision) -> Entry:
    return Entry(
        Kind.MANIFEST,
        manifest.id,
        "",
        manifest.digest,
        decision.fate,
        decision.rule,
        decision.why,
        "",
        manifest.pulled_ms,
        manifest.lease_until,
    )
