"""The rows of principals, and the rules that speak of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.access.actions import Action
from registry.access.actors import ANONYMOUS, OPERATOR, Actor
from registry.access.rules import EVERYBODY, MOST_LISTED
from registry.access.standing import changed
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AccessRule, Principal
from registry.errors import PrincipalInvalid

LOCAL, NO_PASSWORD = "local", ""
"""The source of those whose password is kept here, and what is kept of those that have none."""
ADMINISTRATORS = "administrators"
"""The rule that lets its subjects do everything."""
_EVERYTHING: Mapping[str, object] = MappingProxyType({"on": ["*"], "role": "admin"})
MAX_DESCRIPTION = 1000
_RESERVED = frozenset({ANONYMOUS, OPERATOR, EVERYBODY, "moorage"})
_USER = re.compile(r"(?=.{1,128}$)[A-Za-z0-9]+(?:[._@-]+[A-Za-z0-9]+)*")
_PART = re.compile(r"(?=.{1,64}$)[a-z0-9]+(?:[._-]+[a-z0-9]+)*")
_PRINCIPAL, _RULE = table(Principal), table(AccessRule)
_BY_NAME = select(AccessRule.id, AccessRule.definition).where(AccessRule.name == bindparam("name"))


def is_part(name: str) -> bool:
    """Tell whether a robot or a team can be called so."""
    return _PART.fullmatch(name) is not None


def check_part(kind: str, name: str) -> None:
    """Raise :class:`PrincipalInvalid` for what cannot be a robot's or a team's name."""
    if not is_part(name):
        raise PrincipalInvalid(
            f"a {kind}'s name is up to 64 of a-z, 0-9, and . _ - between", detail={"name": name[:64]}
        )


def check_user_name(name: str) -> None:
    """Raise :class:`PrincipalInvalid` for what cannot be a user's name."""
    if _USER.fullmatch(name) is None:
        raise PrincipalInvalid(
            "a user's name is up to 128 of A-Z, a-z, 0-9, and . _ @ - between", detail={"name": name[:128]}
        )
    if is_reserved(name):
        raise PrincipalInvalid(f"{name} is a name that means something else", detail={"name": name})


def is_reserved(name: str) -> bool:
    """Tell whether a name means something other than a user."""
    return name.lower() in _RESERVED


def insert_principal(
    database: Database,
    connection: Connection,
    name: str,
    namespace: str | None,
    source: str,
    password_hash: str,
    description: str,
    actor: Actor,
) -> int:
    """Make a principal in the caller's transaction, and return its id."""
    now = database.now(connection)
    row = {
        "name": name,
        "namespace": namespace,
        "source": source,
        "password_hash": password_hash,
        "disabled": False,
        "valid_from_ms": now,
        "description": description,
        "actor": actor.principal,
        "created_ms": now,
        "updated_ms": now,
    }
    made = connection.execute(insert(_PRINCIPAL).returning(_PRINCIPAL.c.id), row).scalar_one()
    kind = "user.created" if namespace is None else "robot.created"
    needed = None if actor.principal == name else Action.ADMIN  # it came by itself
    told = {"source": source, "description": description}
    changed(database, connection, actor, kind, name, told, action=needed)
    return int(made)


def checked_description(description: str) -> str:
    """Return a description; raises :class:`PrincipalInvalid`."""
    if len(description) > MAX_DESCRIPTION or not description.isprintable():
        raise PrincipalInvalid(
            f"a description is up to {MAX_DESCRIPTION} printable characters", detail={"field": "description"}
        )
    return description


def forget_subject(connection: Connection, subject: str) -> Mapping[str, object]:
    """Take a subject out of all rules; a rule for nobody else goes: somebody new of this name gets nothing by it.

    Returns what the audit log tells of that: which rules were changed, and which are gone.
    """
    shortened, gone = [], []
    rows = connection.execute(select(_RULE.c.id, _RULE.c.name, _RULE.c.definition).with_for_update()).all()
    for row in rows:
        definition = json.loads(row.definition)
        if subject not in definition["to"]:
            continue
        definition["to"] = [one for one in definition["to"] if one != subject]
        of = _RULE.c.id == row.id
        if definition["to"]:
            connection.execute(update(_RULE).where(of).values(definition=json.dumps(definition)))
            shortened.append(row.name)
        else:
            connection.execute(delete(_RULE).where(of))
            gone.append(row.name)
    return {"rules_changed": shortened, "rules_deleted": gone}


def make_administrator(database: Database, connection: Connection, actor: Actor, subject: str) -> None:
    """Let a subject administer the registry, in the caller's transaction.

    Raises :class:`PrincipalInvalid` where the rule for that says something else by now.
    """
    row = connection.execute(_BY_NAME, {"name": ADMINISTRATORS}).first()
    now = database.now(connection)
    if row is None:
        definition: dict[str, object] = {"to": [subject], **_EVERYTHING}
        made = {"name": ADMINISTRATORS, "definition": json.dumps(definition), "actor": actor.principal}
        connection.execute(insert(_RULE), {**made, "created_ms": now, "updated_ms": now})
        changed(database, connection, actor, "policy.created", ADMINISTRATORS, {"definition": definition})
    else:
        definition = dict(json.loads(row.definition))
        named = [*json.loads(row.definition)["to"]]
        if definition != {**_EVERYTHING, "to": named} or len(named) >= MOST_LISTED:
            raise PrincipalInvalid(
                f"rule {ADMINISTRATORS} was changed or is full: let another rule, or a team in it, name {subject}",
                detail={"rule": ADMINISTRATORS},
            )
        if subject not in named:
            definition["to"] = [*named, subject]
            changes = {"definition": json.dumps(definition), "updated_ms": now}
            connection.execute(update(_RULE).where(_RULE.c.id == row.id).values(changes))
            told = {"definition": definition, "previous": json.loads(row.definition)}
            changed(database, connection, actor, "policy.changed", ADMINISTRATORS, told)
