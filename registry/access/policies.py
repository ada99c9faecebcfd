"""The rules of the policy as they are kept: made, changed, listed, and replaced as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.access.rules import parse_policy_rule
from registry.access.standing import changed
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AccessRule, Principal, Team
from registry.errors import PrincipalUnknown, RuleInvalid, RuleTaken, RuleUnknown
from registry.pages import Page, cut
from registry.revisions import ANY, Condition, revision_of

MOST_RULES, MAX_DEFINITION = 20_000, 64 * 1024
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?")
_RULE = table(AccessRule)
_SHOWN = select(_RULE).order_by(_RULE.c.name)
_BY_NAME = select(_RULE).where(_RULE.c.name == bindparam("name"))


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A rule as it is kept; times are in milliseconds."""

    id: int
    name: str
    definition: Mapping[str, object]
    actor: str
    created_ms: int
    updated_ms: int

    @property
    def revision(self) -> str:
        """A text that changes with the rule."""
        return revision_of(self.id, self.definition, self.updated_ms)


@dataclass(frozen=True, slots=True)
class WholePolicy:
    """All rules, by name."""

    rules: Sequence[PolicyRow]

    @property
    def revision(self) -> str:
        """A text that changes with any rule."""
        return revision_of([row.revision for row in self.rules])


@dataclass(frozen=True, slots=True)
class PolicyChanges:
    """What replacing all rules would do, by their names."""

    made: Sequence[str]
    changed: Sequence[str]
    removed: Sequence[str]
    same: int


class PolicyService:
    """Keeps the rules of the policy, for who may administer the registry."""

    def __init__(self, database: Database, authorizer: Authorizer) -> None:
        """Keep them in ``database``."""
        self._database = database
        self._authorizer = authorizer

    def list(self, actor: Actor, limit: int, last: str) -> Page[PolicyRow]:
        """Return at most ``limit`` rules by name after ``last``."""
        self._authorizer.require(actor, Action.ADMIN, None)
        with self._database.read() as connection:
            rows = connection.execute(_SHOWN.where(_RULE.c.name > last).limit(limit + 1)).all()
        return cut([_row(*row) for row in rows], limit)

    def whole(self, actor: Actor) -> WholePolicy:
        """Return all rules by name."""
        self._authorizer.require(actor, Action.ADMIN, None)
        with self._database.read() as connection:
            return _whole(connection)

    def show(self, actor: Actor, name: str) -> PolicyRow:
        """Return a rule; raises :class:`RuleUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        with self._database.read() as connection:
            return _require(connection, name)

    def create(self, actor: Actor, name: str, definition: Mapping[str, object]) -> PolicyRow:
        """Make a rule; raises :class:`RuleInvalid`, :class:`RuleTaken`, :class:`PrincipalUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        text = _checked(name, definition)

        def work(connection: Connection) -> PolicyRow:
            if connection.execute(_BY_NAME, {"name": name}).first() is not None:
                raise RuleTaken(detail={"name": name})
            self._insert(connection, actor, name, text)
            return _require(connection, name)

        return self._database.write(work)

    def change(self, actor: Actor, name: str, definition: Mapping[str, object], condition: Condition) -> PolicyRow:
        """Replace a rule's definition; raises :class:`RuleUnknown`, :class:`RuleInvalid`, :class:`PrincipalUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        text = _checked(name, definition)

        def work(connection: Connection) -> PolicyRow:
            found = _require(connection, name)
            condition.require(found.revision)
            self._update(connection, actor, found, text)
            return _require(connection, name)

        return self._database.write(work)

    def delete(self, actor: Actor, name: str, condition: Condition) -> None:
        """Remove a rule; raises :class:`RuleUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)

        def work(connection: Connection) -> None:
            found = _require(connection, name)
            condition.require(found.revision)
            self._delete(connection, actor, found)

        self._database.write(work)

    def replace(
        self,
        actor: Actor,
        rules: Mapping[str, Mapping[str, object]],
        *,
        dry_run: bool,
        condition: Condition = ANY,
    ) -> PolicyChanges:
        """Make ``rules`` (definitions by name) all there are, in one step; ``dry_run`` only tells what that changes.

        Raises :class:`RuleInvalid` that names the rule at fault, :class:`PrincipalUnknown`.
        """
        self._authorizer.require(actor, Action.ADMIN, None)
        if len(rules) > MOST_RULES:
            raise RuleInvalid(f"a policy has {MOST_RULES} rules at most", detail={"rules": len(rules)})
        texts = {name: _checked(name, definition) for name, definition in rules.items()}

        def work(connection: Connection) -> PolicyChanges:
            whole = _whole(connection)
            condition.require(whole.revision)
            present = {row.name: row for row in whole.rules}
            known = _Known(connection)
            made = [name for name in texts if name not in present]
            other = [name for name in texts if name in present and rules[name] != present[name].definition]
            removed = [name for name in present if name not in texts]
            for name in [*made, *other]:
                known.check(name, rules[name])
            if not dry_run:
                for name in made:
                    self._insert(connection, actor, name, texts[name], known)
                for name in other:
                    self._update(connection, actor, present[name], texts[name], known)
                for name in removed:
                    self._delete(connection, actor, present[name])
            return PolicyChanges(sorted(made), sorted(other), sorted(removed), len(texts) - len(made) - len(other))

        return self._database.write(work)

    def _insert(self, connection: Connection, actor: Actor, name: str, text: str, known: _Known | None = None) -> None:
        (known or _Known(connection)).check(name, json.loads(text))
        now = self._database.now(connection)
        row = {"name": name, "definition": text, "actor": actor.principal, "created_ms": now, "updated_ms": now}
        connection.execute(insert(_RULE), row)
        changed(self._database, connection, actor, "policy.created", name, {"definition": json.loads(text)})

    def _update(
        self, connection: Connection, actor: Actor, found: PolicyRow, text: str, known: _Known | None = None
    ) -> None:
        (known or _Known(connection)).check(found.name, json.loads(text))
        now = max(self._database.now(connection), found.updated_ms + 1)
        connection.execute(update(_RULE).where(_RULE.c.id == found.id).values(definition=text, updated_ms=now))
        told = {"definition": json.loads(text), "previous": found.definition}
        changed(self._database, connection, actor, "policy.changed", found.name, told)

    def _delete(self, connection: Connection, actor: Actor, found: PolicyRow) -> None:
        connection.execute(delete(_RULE).where(_RULE.c.id == found.id))
        changed(self._database, connection, actor, "policy.deleted", found.name, {"previous": found.definition})


class _Known:
    """Whom a transaction knows: a rule for somebody who is not there is most often a misspelling."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._found: dict[str, bool] = {}

    def check(self, rule: str, definition: Mapping[str, object]) -> None:
        """Raise :class:`PrincipalUnknown` for a subject that is not there."""
        subjects = definition["to"]
        for subject in subjects if isinstance(subjects, list | tuple) else ():
            if not self._knows(subject):
                kind, _, name = subject.partition(":")
                raise PrincipalUnknown(
                    f"there is no {kind} {name}, of whom rule {rule} speaks", detail={"rule": rule, "subject": subject}
                )

    def _knows(self, subject: str) -> bool:
        kind, _, name = subject.partition(":")
        if kind not in ("user", "robot", "team"):
            return True
        if subject not in self._found:
            statement = select(Team.id).where(Team.name == name)
            if kind != "team":
                of_kind = Principal.namespace.is_(None) if kind == "user" else Principal.namespace.is_not(None)
                statement = select(Principal.id).where(Principal.name == name, of_kind)
            self._found[subject] = self._connection.execute(statement).first() is not None
        return self._found[subject]


def _checked(name: str, definition: Mapping[str, object]) -> str:
    if _NAME.fullmatch(name) is None:
        raise RuleInvalid(
            "a rule's name is up to 128 of a-z, 0-9, dots, dashes and underscores", detail={"name": name[:64]}
        )
    try:
        parse_policy_rule(name, definition)
    except RuleInvalid as error:
        detail = error.detail if isinstance(error.detail, dict) else {}
        raise RuleInvalid(f"rule {name}: {error.message}", detail={"rule": name, **detail}) from None
    text = json.dumps(dict(definition))
    if len(text) > MAX_DEFINITION:
        raise RuleInvalid(f"a definition is at most {MAX_DEFINITION} bytes long", detail={"rule": name})
    return text


def _require(connection: Connection, name: str) -> PolicyRow:
    row = connection.execute(_BY_NAME, {"name": name}).first()
    if row is None:
        raise RuleUnknown(detail={"name": name[:128]})
    return _row(*row)


def _whole(connection: Connection) -> WholePolicy:
    return WholePolicy([_row(*row) for row in connection.execute(_SHOWN)])


def _row(row_id: int, name: str, definition: str, actor: str, created_ms: int, updated_ms: int) -> PolicyRow:
    return PolicyRow(row_id, name, json.loads(definition), actor, created_ms, updated_ms)
