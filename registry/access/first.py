"""The first administrator: without one, nobody could let anybody in."""

from __future__ import annotations

import json

from sqlalchemy import Connection, bindparam, insert, select, update

from registry.access.actors import OPERATOR, Actor
from registry.access.principals import LOCAL, insert_principal
from registry.access.secrets import Passwords, random_text
from registry.access.standing import changed
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AccessRule, Principal

NAME, RULE = "admin", "administrators"
_RULE = table(AccessRule)
_BY_NAME = select(AccessRule.id, AccessRule.definition).where(AccessRule.name == bindparam("name"))
_LENGTH = 24


class FirstAdministrator:
    """Makes administrators."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        """Keep them in ``database``."""
        self._database = database
        self._passwords = passwords

    def ensure(self) -> str | None:
        """Make the user ``admin`` where there is neither a user nor a rule, and return its password; else None."""
        password = random_text(_LENGTH)
        kept = self._passwords.hash(password)

        def work(connection: Connection) -> bool:
            for statement in (select(Principal.id), select(AccessRule.id)):
                if connection.execute(statement.limit(1)).first() is not None:
                    return False
            actor = Actor(OPERATOR)
            insert_principal(self._database, connection, NAME, None, LOCAL, kept, "the first administrator", actor)
            self.make_administrator(connection, actor, f"user:{NAME}")
            return True

        return password if self._database.write(work) else None

    def make_administrator(self, connection: Connection, actor: Actor, subject: str) -> None:
        """Let a subject administer the registry, in the caller's transaction."""
        row = connection.execute(_BY_NAME, {"name": RULE}).first()
        now = self._database.now(connection)
        if row is None:
            definition: dict[str, object] = {"to": [subject], "on": ["*"], "role": "admin"}
            made = {"name": RULE, "definition": json.dumps(definition), "actor": actor.principal}
            connection.execute(insert(_RULE), {**made, "created_ms": now, "updated_ms": now})
        else:
            definition = dict(json.loads(row.definition))
            named = [*json.loads(row.definition)["to"]]
            if subject not in named:
                definition["to"] = [*named, subject]
                changes = {"definition": json.dumps(definition), "updated_ms": now}
                connection.execute(update(_RULE).where(_RULE.c.id == row.id).values(changes))
        changed(connection)
