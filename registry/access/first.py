"""The first administrator: without one, nobody could let anybody in."""

from __future__ import annotations

from sqlalchemy import Connection, select

from registry.access.actors import OPERATOR, Actor
from registry.access.principal_rows import LOCAL, insert_principal, make_administrator
from registry.access.secrets import Passwords, random_text
from registry.db.engine import Database
from registry.db.models import AccessRule, Principal

NAME = "admin"
_LENGTH = 24


class FirstAdministrator:
    """Makes the first administrator."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        """Keep them in ``database``."""
        self._database = database
        self._passwords = passwords

    def missing(self) -> bool:
        """Tell whether there is neither a user nor a rule."""
        with self._database.read() as connection:
            return _nobody(connection)

    def ensure(self) -> str | None:
        """Make the user ``admin`` where there is neither a user nor a rule, and return its password; else None."""
        password = random_text(_LENGTH)
        kept = self._passwords.hash(password)

        def work(connection: Connection) -> bool:
            if not _nobody(connection):
                return False
            actor = Actor(OPERATOR)
            insert_principal(self._database, connection, NAME, None, LOCAL, kept, "the first administrator", actor)
            make_administrator(self._database, connection, actor, f"user:{NAME}")
            return True

        return password if self._database.write(work) else None


def _nobody(connection: Connection) -> bool:
    statements = (select(Principal.id), select(AccessRule.id))
    return all(connection.execute(statement.limit(1)).first() is None for statement in statements)
