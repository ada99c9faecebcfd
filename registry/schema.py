"""The database's schema: where it stands, and how it is brought up to date (flask-migrate over alembic)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import flask_migrate
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from sqlalchemy import Connection

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Revisions: the one the database has (None: an empty database), the newest, and those between, oldest first."""

    current: str | None
    head: str
    pending: tuple[str, ...]


def migrations_folder() -> Path:
    """Return the folder of migration scripts, in a checkout or inside the installed package."""
    packaged = _HERE / "_share" / "migrations"
    return packaged if packaged.is_dir() else _HERE.parent / "migrations"


def upgrade(app: Flask, to: str = "head") -> None:
    """Apply all pending migrations, or those up to a revision; one process does it, others wait for it."""
    if not status(app).pending:
        return
    with app.app_context():
        flask_migrate.upgrade(revision=to)
    app.extensions["moorage"].database.close_idle()


def status(app: Flask) -> MigrationStatus:
    """Return where the schema stands; raises :class:`~registry.errors.Unavailable` without a database."""
    with app.app_context():
        config = current_app.extensions["migrate"].migrate.get_config()
        script = ScriptDirectory.from_config(config)
        with app.extensions["moorage"].database.read() as connection:
            current = _current(connection)
    head = script.get_current_head() or ""
    pending = [step.revision for step in script.iterate_revisions(head, current or "base")]
    return MigrationStatus(current, head, tuple(reversed(pending)))


def knows(app: Flask, revision: str) -> bool:
    """Tell whether a revision of the schema is one of this Moorage's, or of one before it."""
    with app.app_context():
        script = ScriptDirectory.from_config(current_app.extensions["migrate"].migrate.get_config())
        return any(step.revision == revision for step in script.walk_revisions())


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
