"""How things stand about access: the policy and the principals, as this process knows them.

They are read anew once the revision in the database has changed. That is looked at twice a second, and at once for
whoever is about to change something.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from sqlalchemy import Connection, bindparam, select, update

from registry.access import trust_rules
from registry.access.actions import Action
from registry.access.actors import Actor, Kind, Proof
from registry.access.limits import Limits, any_of, parse_scopes
from registry.access.policy import ANYBODY, Policy, Verdict
from registry.access.reach import Reach
from registry.access.rules import EVERYBODY, Circumstances, PolicyRule, parse_policy_rule
from registry.access.states import KeyState, PrincipalState, TrustState
from registry.audit.entries import write
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AccessRule, AccessState, ApiKey, Principal, Team, TeamMember, Trust

FRESH_SECONDS = 0.5
_MOST_VERDICTS, _MOST_REACHES, _MOST_PRINCIPALS = 50_000, 500, 50_000
_STATE = table(AccessState)
_REVISION = select(AccessState.revision).where(AccessState.id == 1)
_BUMP = update(_STATE).where(_STATE.c.id == 1).values(revision=_STATE.c.revision + 1)
_RULES = select(AccessRule.name, AccessRule.definition).order_by(AccessRule.name)
_MEMBERS = (
    select(Principal.name, Team.name)
    .join(TeamMember, TeamMember.principal_id == Principal.id)
    .join(Team, Team.id == TeamMember.team_id)
    .order_by(Team.name)
)
_COLUMNS = (Principal.id, Principal.name, Principal.source, Principal.disabled, Principal.valid_from_ms)
_BY_NAME = select(*_COLUMNS).where(Principal.name == bindparam("principal"))

_TRUSTS = (
    select(Trust.id, Trust.name, Trust.principal_id, Principal.name.label("robot"), Trust.definition)
    .join(Principal, Principal.id == Trust.principal_id)
    .order_by(Trust.name)
)
_KEY_BY_ID = select(ApiKey.principal_id, ApiKey.scopes, ApiKey.expires_ms).where(ApiKey.id == bindparam("key"))


_Asker = tuple[str, Action, bool]
"""Who, what, and whether for any tag."""
_Named = str | None | tuple[str | None, str]
"""In which repository, and for which tag where it is about one."""


class Vouching(Protocol):
    """Knows whether a source still vouches for its principals."""

    def vouches(self, source: str, name: str) -> bool:
        """Tell whether ``source`` knows ``name`` now."""
        ...


@dataclass(slots=True)
class Standing:
    """The state of things at one revision."""

    revision: int
    policy: Policy
    teams: Mapping[str, Sequence[str]]
    principals: dict[str, PrincipalState | None] = field(default_factory=dict)
    keys: dict[int, KeyState | None] = field(default_factory=dict)
    verdicts: dict[_Asker, dict[_Named, Verdict]] = field(default_factory=lambda: defaultdict(dict))
    kept: int = 0
    """How many verdicts there are."""
    reaches: dict[tuple[str, Action], Reach] = field(default_factory=dict)
    trusts: Mapping[int, TrustState] | None = None
    """By their ids, in the order of their names; None: not read yet."""

    def verdict(
        self,
        actor: Actor,
        action: Action,
        repository: str | None,
        tag: str | None,
        clock_ms: Callable[[], int],
        *,
        any_tag: bool,
    ) -> Verdict:
        """Return what the policy says; one that follows from no address and no time is kept."""
        asker = (actor.principal, action, any_tag)
        known = self.verdicts[asker].get(repository if tag is None else (repository, tag))
        if known is not None:
            return known
        circumstances = Circumstances(tag, actor.address, clock_ms(), any_tag)
        return self._decide(asker, self.subjects(actor), repository, circumstances)

    def verdicts_of(
        self, actor: Actor, action: Action, repositories: Sequence[str], clock_ms: Callable[[], int]
    ) -> Sequence[Verdict]:
        """Return :meth:`verdict` of each of many repositories: those that are kept cost next to nothing."""
        asker = (actor.principal, action, False)
        known = self.verdicts[asker]
        subjects, circumstances = self.subjects(actor), Circumstances(None, actor.address, clock_ms())
        return [known.get(name) or self._decide(asker, subjects, name, circumstances) for name in repositories]

    def _decide(
        self, asker: _Asker, subjects: Sequence[str], repository: str | None, circumstances: Circumstances
    ) -> Verdict:
        found = self.policy.decide(subjects, asker[1], repository, circumstances)
        if found.lasting:
            if self.kept >= _MOST_VERDICTS:
                self.verdicts.clear()
                self.kept = 0
            tag = circumstances.tag
            self.verdicts[asker][repository if tag is None else (repository, tag)] = found
            self.kept += 1
        return found

    def reach(self, actor: Actor, action: Action) -> Reach:
        """Return where an action may be allowed: all places where it is, and perhaps others."""
        key = (actor.principal, action)
        known = self.reaches.get(key)
        if known is None:
            if len(self.reaches) >= _MOST_REACHES:
                self.reaches.clear()
            known = self.reaches[key] = self.policy.reach(self.subjects(actor), action)
        return known

    def subjects(self, actor: Actor) -> Sequence[str]:
        """Return what rules may call an actor."""
        if actor.kind is Kind.ANONYMOUS:
            return (actor.principal, ANYBODY)
        if actor.kind is Kind.INSIDER:
            return (actor.principal,)
        teams = (f"team:{name}" for name in self.teams.get(actor.principal, ()))
        return (f"{actor.kind}:{actor.principal}", *teams, EVERYBODY, ANYBODY)


class Standings:
    """Gives the present standing."""

    def __init__(self, database: Database, sources: Vouching) -> None:
        """Read it from ``database``; ``sources`` vouch for who has no password there."""
        self._database = database
        self._sources = sources
        self._find_revision = database.prepare(_REVISION)
        self._turn = threading.Lock()
        self._known: Standing | None = None
        self._looked_at = 0.0

    def now(self, *, at_once: bool = False) -> Standing:
        """Return the standing of half a second ago at most; ``at_once``: of now."""
        known = self._known
        if known is not None and not at_once and time.monotonic() < self._looked_at + FRESH_SECONDS:
            return known
        started = time.monotonic()
        with self._database.read() as connection:
            revision = self.revision(connection)
        if known is None or known.revision != revision:
            known = self._read(revision)
        self._looked_at = started
        return known

    def revision(self, connection: Connection) -> int:
        """Return the revision that a transaction sees."""
        row = self._find_revision(connection, {})
        return 0 if row is None else int(row[0])

    def principal(self, standing: Standing, name: str) -> PrincipalState | None:
        """Return a principal as of a standing; None where there is none."""
        known = standing.principals
        found = known.get(name)
        if found is None and name not in known:
            with self._database.read() as connection:
                row = connection.execute(_BY_NAME, {"principal": name}).first()
            if len(known) >= _MOST_PRINCIPALS:  # a token service elsewhere may know any number of them
                known.clear()
            found = known[name] = None if row is None else PrincipalState(*row)
        return found

    def key(self, standing: Standing, key_id: int) -> KeyState | None:
        """Return an API key as of a standing; None where there is none."""
        if key_id not in standing.keys:
            with self._database.read() as connection:
                row = connection.execute(_KEY_BY_ID, {"key": key_id}).first()
            limits = None if row is None else parse_scopes(json.loads(row.scopes))
            standing.keys[key_id] = None if row is None else KeyState(row.principal_id, limits, row.expires_ms)
        return standing.keys[key_id]

    def trusts(self, standing: Standing) -> Mapping[int, TrustState]:
        """Return the trusts as of a standing, by their ids, in the order of their names."""
        if standing.trusts is None:
            with self._database.read() as connection:
                rows = connection.execute(_TRUSTS).all()
            standing.trusts = {row.id: TrustState(*row[:-1], _trust(row.definition)) for row in rows}
        return standing.trusts

    def limits(self, standing: Standing, proof: Proof) -> Limits | None:
        """Return to what the API key or the trusts of a proof narrow it; None: to nothing less."""
        if proof.key_id is not None:
            key = self.key(standing, proof.key_id)
            return key.limits if key else None
        if not proof.trust_ids:
            return None
        trusts = self.trusts(standing)
        return any_of(trusts[one].trust.limits for one in proof.trust_ids if one in trusts)

    def gone(self, standing: Standing, actor: Actor) -> str | None:
        """Return why what an actor is known by is worth nothing any more, or None."""
        if actor.kind in (Kind.ANONYMOUS, Kind.INSIDER):
            return None
        state, proof = self.principal(standing, actor.principal), actor.proof
        if actor.granted is not None:  # somebody of elsewhere: the name may be known here, or not
            return f"{actor.principal} is disabled" if state is not None and state.disabled else None
        if state is None or (proof is not None and proof.principal_id != state.id):
            return f"{actor.principal} was deleted"
        if state.disabled or not self._sources.vouches(state.source, state.name):
            return f"{actor.principal} is {'disabled' if state.disabled else f'not known to {state.source} any more'}"
        return None if proof is None else self._outdated(standing, state, proof)

    def _outdated(self, standing: Standing, state: PrincipalState, proof: Proof) -> str | None:
        if proof.valid_from_ms < state.valid_from_ms:
            return "this is from before a change of the password"
        if any(one not in self.trusts(standing) for one in proof.trust_ids):
            return "the trust was deleted"
        if proof.key_id is None:
            return None
        key = self.key(standing, proof.key_id)
        if key is None or key.owner_id != state.id:
            return "the API key was deleted"
        expired = key.expires_ms is not None and key.expires_ms <= self._database.clock_ms()
        return "the API key has expired" if expired else None

    def _read(self, revision: int) -> Standing:
        """Read all of it. A change in between is seen by the next look, as it has another revision."""
        with self._turn:
            if self._known is not None and self._known.revision >= revision:
                return self._known
            teams: dict[str, list[str]] = defaultdict(list)
            with self._database.read() as connection:
                rules = connection.execute(_RULES).all()
                for principal, team in connection.execute(_MEMBERS):
                    teams[principal].append(team)
            policy = Policy(_parsed(name, definition) for name, definition in rules)
            self._known = Standing(revision, policy, teams)
            return self._known


@lru_cache(maxsize=32_768)
def _parsed(name: str, definition: str) -> PolicyRule:
    """Read a rule as it is kept: of all there are, a change concerns few."""
    return parse_policy_rule(name, json.loads(definition))


@lru_cache(maxsize=2048)
def _trust(definition: str) -> trust_rules.Trust:
    return trust_rules.parse_trust(json.loads(definition))


def changed(
    database: Database,
    connection: Connection,
    actor: Actor,
    kind: str,
    name: str,
    detail: Mapping[str, object] | None = None,
    *,
    action: Action | None = Action.ADMIN,
) -> None:
    """Let every process know that something about access changes with the caller's transaction, and keep who did it.

    The audit log has it as ``kind``, about what is called ``name``; ``action`` is what it needed, None: a login alone.
    """
    connection.execute(_BUMP)
    write(database, connection, actor, kind, name, detail, action=action)
