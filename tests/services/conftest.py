"""Services on every database: SQLite in the quick tests, PostgreSQL as well where it is at hand."""

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from registry.app import create_app
from registry.schema import upgrade
from registry.settings import Settings
from registry.steps import Steps, no_steps
from registry.testing.apps import quick_folder
from tests.support.direct import Direct, ManualClock

_numbers = itertools.count()
Start = Callable[..., Direct]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory) -> Path:
    """Migrate one database, which each test copies."""
    folder = tmp_path_factory.mktemp("template")
    app = create_app(Settings(data=folder, storage_url="memory:"))
    upgrade(app)
    app.extensions["moorage"].database.close_idle()
    return folder / "moorage.db"


@pytest.fixture(scope="session")
def postgres_template(postgres) -> str:
    """Migrate one database, which each test copies."""
    url = postgres.create_database("template_of_services")
    app = create_app(Settings(database_url=url, storage_url="memory:"))
    upgrade(app)
    app.extensions["moorage"].database.close_idle()
    return "template_of_services"


@pytest.fixture(scope="session")
def common(sqlite_template) -> Iterator[Direct]:
    """Make one app that tests use after one another: its statements are compiled once."""
    with quick_folder() as folder:
        path = Path(shutil.copy(sqlite_template, folder / "moorage.db"))
        settings = Settings(data=folder, storage_url="memory:", database_url=f"sqlite:///{path}")
        clock = ManualClock()
        yield Direct(create_app(settings, clock=clock), clock)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_tools)])
def database_url(request) -> Iterator[str]:
    """Give an empty database with the schema of today."""
    if request.param == "sqlite":
        common = request.getfixturevalue("common")
        common.start_anew(request.getfixturevalue("sqlite_template"))
        yield common.services.settings.database_url
        common.services.database.close_idle()
        return
    template = request.getfixturevalue("postgres_template")
    server = request.getfixturevalue("postgres")
    name = f"services_{next(_numbers)}"
    yield server.create_database(name, template)
    server.drop_database(name)


@pytest.fixture
def start(request, database_url, tmp_path) -> Iterator[Start]:
    """Give the function that makes an app on the test's database; call it twice for two processes."""
    unused = [request.getfixturevalue("common")] if database_url.startswith("sqlite") else []
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
