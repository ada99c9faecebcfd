"""What a changed policy would have decided: what the audit log tells of is decided again, by the same code.

A request is asked again as it was: who, from where, when, what, about which repository and tag; whoever it was is in
the teams of now. What a credential was not good for stays refused, and so does what a plugin refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from registry.access.actions import Action
from registry.access.actors import Actor
from registry.access.authorizer import AccessRequest, PolicyAuthorizer
from registry.access.policies import PolicyService
from registry.access.policy import Policy
from registry.access.rules import parse_policy_rule
from registry.access.standing import Standing, Standings
from registry.audit.entries import ALLOWED, CREDENTIAL, PLUGIN, Entry
from registry.audit.log import BEHIND_ALL, AuditFilter, read
from registry.audit.of_events import PUSHED, RENAMED
from registry.db.engine import Database
from registry.names import RepositoryName

MOST_RECORDS, MOST_DIFFERENCES = 1_000_000, 1_000
_AT_ONCE = 1000


@dataclass(slots=True)
class Difference:
    """What would be decided otherwise, and how often it was asked; times are in milliseconds, the address is the last.

    ``rule`` is the one that decided then, ``new_rule`` the one that would decide; empty: none speaks of it.
    """

    principal: str
    action: str
    repository: str
    tag: str
    allowed: bool
    rule: str
    new_rule: str
    address: str
    first_ms: int
    last_ms: int
    count: int = 0


@dataclass(frozen=True, slots=True)
class Simulation:
    """What would turn out differently: first what would be denied, the most frequent first.

    ``requests`` were decided again; ``gone`` more were of principals that may do nothing any more, whatever the policy
    says. ``complete`` tells that there were no older records, and no more differences, than are looked at.
    """

    requests: int
    gone: int
    complete: bool
    differences: Sequence[Difference]


class AccessSimulator:
    """Decides what was asked anew."""

    def __init__(
        self, database: Database, policies: PolicyService, authorizer: PolicyAuthorizer, standings: Standings
    ) -> None:
        """Decide as ``authorizer`` does, for who is there by ``standings``."""
        self._database = database
        self._policies = policies
        self._authorizer = authorizer
        self._standings = standings

    def simulate(
        self, actor: Actor, rules: Mapping[str, Mapping[str, object]], since_ms: int, until_ms: int | None
    ) -> Simulation:
        """Tell what would have been decided otherwise in a time, were ``rules`` (definitions by name) all there are.

        Raises what replacing the policy by them would raise.
        """
        self._policies.replace(actor, rules, dry_run=True)
        policy = Policy(parse_policy_rule(name, definition) for name, definition in rules.items())
        present = self._standings.now(at_once=True)
        trial = _Trial(self._authorizer, Standing(present.revision, policy, present.teams))
        wanted = AuditFilter(since_ms=since_ms, until_ms=until_ms, decided=True)
        for looked, entry in enumerate(self._asked(wanted)):
            if looked == MOST_RECORDS:
                return trial.result(complete=False)
            trial.ask(entry)
        return trial.result(complete=True)

    def _asked(self, wanted: AuditFilter) -> Iterator[Entry]:
        """Yield what the policy was asked, newest first."""
        key = BEHIND_ALL
        while True:
            with self._database.read() as connection:
                records = read(connection, wanted, _AT_ONCE, key, oldest=False)
            yield from (record.entry for record in records)
            if len(records) < _AT_ONCE:
                return
            key = records[-1].position


class _Trial:
    """Asks one policy, and keeps what differs."""

    def __init__(self, authorizer: PolicyAuthorizer, standing: Standing) -> None:
        self._now_ms = 0
        self._authorizer = authorizer.at(lambda: self._now_ms)
        self._standing = standing
        self._requests = self._gone = 0
        self._complete = True
        self._differences: dict[tuple[object, ...], Difference] = {}

    def ask(self, entry: Entry) -> None:
        """Ask again what an entry tells of."""
        self._now_ms = entry.time_ms
        requests = list(_requests(entry))
        decisions = [self._authorizer.decide(self._standing, request) for request in requests]
        if any(decision.reason for decision in decisions):
            self._gone += entry.count
            return
        self._requests += entry.count
        if entry.outcome != ALLOWED and not {CREDENTIAL, PLUGIN}.isdisjoint(json.loads(entry.detail)):
            return
        allowed = all(decision.allowed for decision in decisions)
        if allowed == (entry.outcome == ALLOWED):
            return
        place = next((number for number, one in enumerate(decisions) if not one.allowed), 0)
        self._keep(entry, requests[place].tag or "", decisions[place].rule, allowed=allowed)

    def result(self, *, complete: bool) -> Simulation:
        """Return what differs."""
        found = sorted(self._differences.values(), key=lambda one: (one.allowed, -one.count, one.repository))
        return Simulation(self._requests, self._gone, complete and self._complete, found)

    def _keep(self, entry: Entry, tag: str, rule: str, *, allowed: bool) -> None:
        key = (entry.principal, entry.action, entry.repository, tag, allowed, entry.rule, rule)
        found = self._differences.get(key)
        if found is None and len(self._differences) == MOST_DIFFERENCES:
            self._complete = False
            return
        if found is None:
            found = self._differences[key] = Difference(*key, entry.address, entry.time_ms, entry.time_ms)
        found.count += entry.count
        found.first_ms = min(found.first_ms, entry.time_ms)
        found.last_ms = max(found.last_ms, entry.time_ms)


def _requests(entry: Entry) -> Iterator[AccessRequest]:
    """Yield what the policy was asked: of a push to several tags, each."""
    actor, action = Actor(entry.principal, entry.address), Action(entry.action)
    repository = RepositoryName(entry.repository) if entry.repository else None
    detail = json.loads(entry.detail)
    tags = detail["tags"] if entry.kind == PUSHED else ()
    for reference in tags or [entry.reference]:
        yield AccessRequest(actor, action, repository, reference)
    if entry.kind == RENAMED:
        yield AccessRequest(actor, Action.ADMIN, RepositoryName(detail["previous"]), "")
