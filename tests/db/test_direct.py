"""Statements that go straight to the driver."""

import pytest
from sqlalchemy import bindparam, create_engine, insert, select

from registry.db.direct import run_of
from registry.db.models import Repository


@pytest.fixture
def connection(blank):
    engine = create_engine(f"sqlite:///{blank / 'moorage.db'}")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_the_clock_is_asked_at_each_run(connection):
    times = iter([1, 2, 3])
    run = run_of(select(bindparam("now"), bindparam("name")), lambda: next(times))
    assert [run(connection, {"name": name}).fetchone() for name in "ab"] == [(1, "a"), (2, "b")]


def test_apps_share_a_statement_and_not_their_clocks(connection):
    statement = select(bindparam("now"))
    runs = [run_of(statement, clock) for clock in (lambda: 1, lambda: 2)]
    assert [run(connection, {}).fetchone() for run in runs] == [(1,), (2,)]


def test_a_statement_whose_values_sqlalchemy_would_make_is_refused(connection):
    run = run_of(insert(Repository).values(name=bindparam("name")), None)
    with pytest.raises(TypeError, match="names every value itself"):
        run(connection, {"name": "team"})
