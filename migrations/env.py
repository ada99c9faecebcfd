"""How alembic runs here: in one transaction, which only one process at a time can hold."""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import Connection, MetaData, text

# Any number that nothing else of ours uses.
_LOCK = 6_120_031


def _metadata() -> MetaData:
    metadata: MetaData = current_app.extensions["migrate"].db.metadata
    return metadata


def _migrate(connection: Connection) -> None:
    # SQLite cannot alter tables in place: alembic then copies them.
    context.configure(
        connection=connection,
        target_metadata=_metadata(),
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=False,
        compare_type=True,
    )
    context.run_migrations()


def run() -> None:
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("BEGIN")
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        try:
            _migrate(connection)
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


run()
