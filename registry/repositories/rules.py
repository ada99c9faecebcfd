"""House rules: for one repository, for one namespace, or everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.access.actors import Actor
from registry.access.authorizer import AccessRequest, Action, Authorizer
from registry.audit.entries import write
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Namespace, Repository, Rule
from registry.errors import RuleInvalid, RuleTaken, RuleUnknown
from registry.names import RepositoryName
from registry.pages import Page, cut
from registry.repositories.repositories import require_repository
from registry.revisions import Condition, revision_of

Parser = Callable[[str, Mapping[str, object]], object]
MAX_DEFINITION = 64 * 1024
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?")
_RULE = table(Rule)
_SHOWN = (
    select(
        Rule.id,
        Rule.name,
        Rule.kind,
        Namespace.name.label("namespace"),
        Repository.name.label("repository"),
        Rule.definition,
        Rule.actor,
        Rule.created_ms,
        Rule.updated_ms,
    )
    .outerjoin(Namespace, Namespace.id == Rule.namespace_id)
    .outerjoin(Repository, Repository.id == Rule.repository_id)
)
_BY_NAME = _SHOWN.where(Rule.name == bindparam("name"))
_LOCK = _BY_NAME.with_for_update(of=Rule)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a rule holds: in a repository, in a namespace, or (both None) everywhere."""

    repository: RepositoryName | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule as it is stored; times are in milliseconds."""

    id: int
    name: str
    kind: str
    namespace: str | None
    repository: str | None
    definition: Mapping[str, object]
    actor: str
    created_ms: int
    updated_ms: int

    @property
    def revision(self) -> str:
        """A text that changes with the rule."""
        return revision_of(self.id, self.definition, self.updated_ms)


class RuleService:
    """Makes, changes and lists rules."""

    def __init__(self, database: Database, authorizer: Authorizer, parsers: Mapping[str, Parser]) -> None:
        """Know the kinds of ``parsers``, each of which raises :class:`RuleInvalid` for what it cannot use."""
        self._database = database
        self._authorizer = authorizer
        self._parsers = parsers

    def create(self, actor: Actor, name: str, kind: str, scope: Scope, definition: Mapping[str, object]) -> RuleRow:
        """Make a rule.

        Raises :class:`RuleInvalid`, :class:`RuleTaken`, :class:`~registry.errors.NameInvalid` for its namespace, or
        :class:`~registry.errors.NameUnknown` for its repository.
        """
        self._authorizer.require(actor, Action.ADMIN, scope.repository, name)
        if _NAME.fullmatch(name) is None:
            raise RuleInvalid(
                "a rule's name is up to 128 of a-z, 0-9, dots, dashes and underscores", detail={"name": name[:64]}
            )
        if scope.repository is not None and scope.namespace is not None:
            raise RuleInvalid("a rule is for a repository or for a namespace, not for both", detail={"name": name})
        text = self._checked(name, kind, definition)

        def work(connection: Connection) -> RuleRow:
            if connection.execute(_BY_NAME, {"name": name}).first() is not None:
                raise RuleTaken(detail={"name": name})
            now = self._database.now(connection)
            values = {
                "name": name,
                "kind": kind,
                "repository_id": require_repository(connection, scope.repository) if scope.repository else None,
                "namespace_id": self._namespace(connection, scope.namespace),
                "definition": text,
                "actor": actor.principal,
                "created_ms": now,
                "updated_ms": now,
            }
            connection.execute(insert(_RULE), values)
            made = self._require(connection, name)
            self._keep(connection, actor, "rule.created", made, {"kind": kind, "definition": dict(definition)})
            return made

        return self._database.write(work)

    def list(self, actor: Actor, kind: str | None, scope: Scope, limit: int, last: str) -> Page[RuleRow]:
        """Return at most ``limit`` rules by name after ``last``: of one kind, and of one scope, if that is given."""
        action = Action.ADMIN if scope.repository is None else Action.LIST
        self._authorizer.require(actor, action, scope.repository)
        statement = _SHOWN.where(Rule.name > last).order_by(Rule.name).limit(limit + 1)
        if kind is not None:
            statement = statement.where(Rule.kind == kind)
        if scope.namespace is not None:
            statement = statement.where(Namespace.name == scope.namespace)
        if scope.repository is not None:
            statement = statement.where(Repository.name == scope.repository.value, Repository.current == 1)
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return cut([_row(*row) for row in rows], limit)

    def describe(self, actor: Actor, name: str) -> RuleRow:
        """Return a rule; raises :class:`RuleUnknown`."""
        self._require_allowed(actor, Action.LIST, name)
        with self._database.read() as connection:
            return self._require(connection, name)

    def change(self, actor: Actor, name: str, definition: Mapping[str, object], condition: Condition) -> RuleRow:
        """Replace a rule's definition. Raises :class:`RuleUnknown`, :class:`RuleInvalid`."""
        self._require_allowed(actor, Action.ADMIN, name)

        def work(connection: Connection) -> RuleRow:
            found = self._require(connection, name, lock=True)
            condition.require(found.revision)
            text = self._checked(name, found.kind, definition)
            now = max(self._database.now(connection), found.updated_ms + 1)
            connection.execute(update(_RULE).where(_RULE.c.id == found.id).values(definition=text, updated_ms=now))
            told = {"kind": found.kind, "definition": dict(definition), "previous": found.definition}
            self._keep(connection, actor, "rule.changed", found, told)
            return self._require(connection, name)

        return self._database.write(work)

    def delete(self, actor: Actor, name: str, condition: Condition) -> None:
        """Remove a rule; what it kept from ending may end from now on. Raises :class:`RuleUnknown`."""
        self._require_allowed(actor, Action.ADMIN, name)

        def work(connection: Connection) -> None:
            found = self._require(connection, name, lock=True)
            condition.require(found.revision)
            connection.execute(delete(_RULE).where(_RULE.c.id == found.id))
            told = {"kind": found.kind, "previous": found.definition}
            self._keep(connection, actor, "rule.deleted", found, told)

        self._database.write(work)

    def _keep(self, connection: Connection, actor: Actor, kind: str, rule: RuleRow, told: Mapping[str, object]) -> None:
        """Write to the audit log what becomes of a rule."""
        told = {**told, "namespace": rule.namespace}
        write(self._database, connection, actor, kind, rule.name, told, repository=rule.repository or "")

    def _require_allowed(self, actor: Actor, action: Action, name: str) -> None:
        """Require ``action`` on the repository that a rule is for, where there is one, or else all rights on all.

        Who has neither hears the same whether there is such a rule or not.
        """
        with self._database.read() as connection:
            row = connection.execute(_BY_NAME, {"name": name}).first()
        if row is not None and row.repository is not None:
            asked = AccessRequest(actor, action, RepositoryName.parse(row.repository), name)
            (decision,) = self._authorizer.authorize([asked])
            if decision.by_policy:
                self._authorizer.require(asked.actor, action, asked.repository, name)
                return
        self._authorizer.require(actor, Action.ADMIN, None, name)

    def check(self, kind: str, definition: Mapping[str, object]) -> None:
        """Raise :class:`RuleInvalid` where a definition could not be used."""
        self._checked("new", kind, definition)

    def _checked(self, name: str, kind: str, definition: Mapping[str, object]) -> str:
        parser = self._parsers.get(kind)
        if parser is None:
            kinds = ", ".join(sorted(self._parsers))
            raise RuleInvalid(f"there is no kind of rule {kind[:64]!r}: use {kinds}", detail={"kind": kind[:64]})
        parser(name, definition)
        text = json.dumps(dict(definition))
        if len(text) > MAX_DEFINITION:
            raise RuleInvalid(f"a definition is at most {MAX_DEFINITION} bytes long", detail={"length": len(text)})
        return text

    def _namespace(self, connection: Connection, name: str | None) -> int | None:
        if name is None:
            return None
        if name and RepositoryName.parse(f"{name}/any").namespace != name:
            raise RuleInvalid(
                "a namespace is the part of a name before its first slash: a rule for this one would never hold",
                detail={"namespace": name},
            )
        connection.execute(self._database.insert_ignore(Namespace).values(name=name))
        return connection.execute(select(Namespace.id).where(Namespace.name == name)).scalar_one()

    @staticmethod
    def _require(connection: Connection, name: str, *, lock: bool = False) -> RuleRow:
        row = connection.execute(_LOCK if lock else _BY_NAME, {"name": name}).first()
        if row is None:
            raise RuleUnknown(detail={"name": name[:128]})
        return _row(*row)


def _row(
    row_id: int,
    name: str,
    kind: str,
    namespace: str | None,
    repository: str | None,
    definition: str,
    actor: str,
    created_ms: int,
    updated_ms: int,
) -> RuleRow:
    return RuleRow(row_id, name, kind, namespace, repository, json.loads(definition), actor, created_ms, updated_ms)
