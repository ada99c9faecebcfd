"""Services on every database: SQLite in the quick tests, PostgreSQL as well where it is at hand."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from sqlalchemy import make_url

from registry.app import create_app
from registry.schema import upgrade
from registry.settings import Settings
from registry.steps import Steps, no_steps
from registry.testing.apps import quick_folder
from tests.support.direct import Direct, ManualClock
from tests.support.services import PostgresServer

Start = Callable[..., Direct]


@dataclass(frozen=True)
class CommonApp:
    """One app that tests use after one another: its statements are compiled once. `empty` is for its database."""

    direct: Direct
    empty: Callable[[], None]


@contextmanager
def migrated(**settings: Any) -> Iterator[Direct]:
    """Give an app over a new database, on a clock of its own."""
    clock = ManualClock()
    made = Direct(create_app(Settings(storage_url="memory:", **settings), clock=clock), clock)
    upgrade(made.app)
    made.services.database.close_idle()
    yield made
    made.services.database.close_idle()


@pytest.fixture(scope="session")
def common_sqlite() -> Iterator[CommonApp]:
    """Make the app on SQLite, whose database is a copy of what was migrated once."""
    with quick_folder() as folder, migrated(data=folder) as direct:
        database = folder / "moorage.db"
        template = shutil.copy(database, folder / "template")

        def empty() -> None:
            for left in folder.glob(f"{database.name}*"):
                left.unlink()
            shutil.copy(template, database)

        yield CommonApp(direct, empty)


@pytest.fixture(scope="session")
def common_postgresql(postgres: PostgresServer) -> Iterator[CommonApp]:
    """Make the app on PostgreSQL, whose database keeps its tables and loses their rows."""
    with quick_folder() as folder, migrated(data=folder, database_url=postgres.create_database("services")) as direct:
        yield CommonApp(direct, partial(postgres.empty_database, "services", keep=["alembic_version"]))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_tools)])
def database_url(request) -> Iterator[str]:
    """Give an empty database with the schema of today."""
    common = request.getfixturevalue(f"common_{request.param}")
    common.direct.start_anew(common.empty)
    yield common.direct.services.settings.database_url
    common.direct.services.database.close_idle()


@pytest.fixture
def start(request, database_url, tmp_path) -> Iterator[Start]:
    """Give the function that makes an app on the test's database; call it twice for two processes."""
    unused = [request.getfixturevalue(f"common_{make_url(database_url).get_backend_name()}").direct]
    with ExitStack() as stack:

        def make(*, plugins: Sequence[object] = (), clock: ManualClock | None = None, **settings: Any) -> Direct:
            if unused and not (plugins or clock or settings):
                return unused.pop()
            clock = clock or ManualClock()
            values = {"data": tmp_path, "storage_url": "memory:", "database_url": database_url, **settings}
            made = Direct(create_app(Settings(**values), plugins, clock=clock), clock)
            stack.callback(made.services.database.close_idle)
            return made

        yield make


@pytest.fixture
def start_with_steps(database_url) -> Iterator[Callable[..., Direct]]:
    """Give the function that makes an app over files whose named steps a test hears of; each call is a process."""
    with quick_folder() as folder, ExitStack() as stack:

        def make(clock: ManualClock, steps: Steps = no_steps, **settings: Any) -> Direct:
            values = {"data": folder, "storage_url": f"file://{folder / 'storage'}", "database_url": database_url}
            made = Direct(create_app(Settings(**values, **settings), clock=clock, steps=steps), clock)
            stack.callback(made.services.database.close_idle)
            return made

        yield make


@pytest.fixture
def direct(start) -> Direct:
    """Give an app with default settings."""
    return start()


@pytest.fixture
def stays_sound(request) -> Iterator[None]:
    """Check all that a test leaves behind."""
    direct = request.getfixturevalue("direct") if "direct" in request.fixturenames else None
    yield
    if direct is not None:
        direct.assert_sound(deep=True)


@pytest.fixture
def sparse(start) -> Direct:
    """Give an app that takes manifests whose content is missing."""
    return start(allow_sparse=True)


@pytest.fixture(params=["memory", "file"])
def on_storage(request, start, tmp_path) -> Direct:
    """Give an app over each storage that needs no service."""
    return start(storage_url="memory:" if request.param == "memory" else f"file://{tmp_path / 'storage'}")
