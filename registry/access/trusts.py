"""Trusts as they are kept: made, listed, removed, and explained to who looks after them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.access.standing import changed
from registry.access.trust_rules import parse_trust, require_identity
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Principal, Trust
from registry.errors import PrincipalUnknown, TrustInvalid, TrustTaken, TrustUnknown
from registry.pages import Page, cut
from registry.revisions import Condition, revision_of

MOST_TRUSTS, MOST_OF_ROBOT, MAX_DEFINITION = 1000, 20, 64 * 1024
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?")
_TRUST = table(Trust)
_SHOWN = select(
    Trust.id, Trust.name, Principal.name.label("robot"), Trust.definition, Trust.actor, Trust.created_ms
).join(Principal, Principal.id == Trust.principal_id)
_BY_NAME = _SHOWN.where(Trust.name == bindparam("name"))
_ROBOT = select(Principal.id).where(Principal.name == bindparam("robot"), Principal.namespace.is_not(None))
_ALL = select(func.count(Trust.id))
_OF_ROBOT = _ALL.where(Trust.principal_id == bindparam("robot_id"))


@dataclass(frozen=True, slots=True)
class TrustRow:
    """A trust as it is kept; the time is in milliseconds."""

    id: int
    name: str
    robot: str
    definition: Mapping[str, Any]
    actor: str
    created_ms: int

    @property
    def revision(self) -> str:
        """A text that changes with the trust: another one of its name has another id."""
        return revision_of(self.id)


class TrustService:
    """Keeps trusts, for who may administer the registry.

    A trust is never changed: what was got by it would go on by other terms. It is deleted, and another one made.
    """

    def __init__(self, database: Database, authorizer: Authorizer, audience: str) -> None:
        """Keep them in ``database``; ``audience`` is that of a trust that names none, empty where it must."""
        self._database = database
        self._authorizer = authorizer
        self._audience = audience

    def list(self, actor: Actor, limit: int, last: str) -> Page[TrustRow]:
        """Return at most ``limit`` trusts by name after ``last``."""
        self._authorizer.require(actor, Action.ADMIN, None)
        with self._database.read() as connection:
            statement = _SHOWN.where(_TRUST.c.name > last).order_by(_TRUST.c.name).limit(limit + 1)
            return cut([_row(*row) for row in connection.execute(statement)], limit)

    def show(self, actor: Actor, name: str) -> TrustRow:
        """Return a trust; raises :class:`TrustUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        with self._database.read() as connection:
            return _require(connection, name)

    def create(self, actor: Actor, name: str, robot: str, definition: Mapping[str, Any]) -> TrustRow:
        """Make a trust; raises :class:`TrustInvalid`, :class:`TrustTaken`, :class:`PrincipalUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)
        text = self._checked(name, definition)

        def work(connection: Connection) -> TrustRow:
            robot_id = connection.execute(_ROBOT, {"robot": robot}).scalar()
            if robot_id is None:
                raise PrincipalUnknown(f"there is no robot {robot[:128]!r}", detail={"name": robot[:128]})
            if connection.execute(_BY_NAME, {"name": name}).first() is not None:
                raise TrustTaken(detail={"name": name})
            _require_room(connection, robot, robot_id)
            row = {
                "name": name,
                "principal_id": robot_id,
                "definition": text,
                "actor": actor.principal,
                "created_ms": self._database.now(connection),
            }
            connection.execute(insert(_TRUST), row)
            told = {"robot": robot, **json.loads(text)}
            changed(self._database, connection, actor, "trust.created", name, told)
            return _require(connection, name)

        return self._database.write(work)

    def delete(self, actor: Actor, name: str, condition: Condition) -> None:
        """Remove a trust, and end what was got by it; raises :class:`TrustUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, name)

        def work(connection: Connection) -> None:
            found = _require(connection, name)
            condition.require(found.revision)
            connection.execute(delete(_TRUST).where(_TRUST.c.id == found.id))
            told = {"robot": found.robot, **found.definition}
            changed(self._database, connection, actor, "trust.deleted", name, told)

        self._database.write(work)

    def _checked(self, name: str, definition: Mapping[str, Any]) -> str:
        if _NAME.fullmatch(name) is None:
            raise TrustInvalid(
                "a trust's name is up to 128 of a-z, 0-9, dots, dashes and underscores", detail={"name": name[:64]}
            )
        kept = {**definition, "audiences": list(definition["audiences"])}
        if not kept["audiences"] and self._audience:
            kept["audiences"] = [self._audience]
        require_identity(parse_trust(kept))
        text = json.dumps({field: value for field, value in kept.items() if value not in (None, [])})
        if len(text) > MAX_DEFINITION:
            raise TrustInvalid(f"a trust is at most {MAX_DEFINITION} bytes long", detail={"name": name})
        return text


def _require_room(connection: Connection, robot: str, robot_id: int) -> None:
    if connection.execute(_OF_ROBOT, {"robot_id": robot_id}).scalar_one() >= MOST_OF_ROBOT:
        raise TrustInvalid(f"{robot} has {MOST_OF_ROBOT} trusts already: delete one", detail={"robot": robot})
    if connection.execute(_ALL).scalar_one() >= MOST_TRUSTS:
        raise TrustInvalid(f"there are {MOST_TRUSTS} trusts already: delete one")


def _require(connection: Connection, name: str) -> TrustRow:
    row = connection.execute(_BY_NAME, {"name": name}).first()
    if row is None:
        raise TrustUnknown(detail={"name": name[:128]})
    return _row(*row)


def _row(row_id: int, name: str, robot: str, definition: str, actor: str, created_ms: int) -> TrustRow:
    return TrustRow(row_id, name, robot, json.loads(definition), actor, created_ms)
