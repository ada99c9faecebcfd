"""Migrations: up from nothing, and to just what the models say."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from registry.app import create_app
from registry.db.base import Base
from registry.schema import status, upgrade
from registry.settings import Settings


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_tools)])
def app(request, tmp_path):
    """Give an app on an empty database."""
    url, server = "", None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.create_database("migrations")
    made = create_app(Settings(data=tmp_path, database_url=url, storage_url="memory:"))
    yield made
    made.extensions["moorage"].database.close_idle()
    if server is not None:
        server.drop_database("migrations")


def test_an_empty_database_waits_for_all_migrations(app):
    found = status(app)
    assert found.current is None
    assert found.pending[-1] == found.head
    database = app.extensions["moorage"].readiness()[0]
    assert (database.ok, database.detail) == (False, "the database lacks its tables: run moorage db upgrade")


def test_migrations_go_up_from_empty_and_again_do_nothing(app):
    upgrade(app)
    found = status(app)
    assert (found.current, found.pending) == (found.head, ())
    assert app.extensions["moorage"].readiness()[0].ok
    upgrade(app)
    assert status(app) == found


def test_the_models_are_what_the_migrations_make(app):
    upgrade(app)
    with app.extensions["moorage"].database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_difference_would_be_found(app):
    upgrade(app)
    app.extensions["moorage"].database.write(lambda connection: connection.execute(text("DROP TABLE label")))
    with app.extensions["moorage"].database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata)


def test_names_are_sorted_bytewise(app):
    upgrade(app)

    def fill(connection):
        for name in ("b", "a-", "B", "a0", "a"):
            connection.execute(text("INSERT INTO namespace (name) VALUES (:name)"), {"name": name})
        return connection.execute(text("SELECT name FROM namespace ORDER BY name")).scalars().all()

    assert app.extensions["moorage"].database.write(fill) == ["B", "a", "a-", "a0", "b"]
