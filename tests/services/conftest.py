"""Services on every database: SQLite in the quick tests, PostgreSQL as well where it is at hand."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from registry.app import create_app
from registry.schema import upgrade
from registry.settings import Settings
from registry.steps import Steps, no_steps
from registry.testing.apps import quick_folder, running_app
from tests.support.direct import Direct, ManualClock
from tests.support.services import PostgresServer

Start = Callable[..., Direct]


class Pool:
    """Apps over one database, which tests use after one another: each is made once."""

    def __init__(self, folder: Path, database_url: str, empty: Callable[[], None]) -> None:
        self.folder, self.database_url, self._empty = folder, database_url, empty
        self._unused: dict[str, list[Direct]] = defaultdict(list)
        self._used: list[tuple[str, Direct]] = []

    def take_back(self) -> None:
        """Take all apps back."""
        while self._used:
            settings, direct = self._used.pop()
            direct.services.database.close_idle()
            self._unused[settings].append(direct)

    def start_anew(self) -> None:
        """Forget all content: the database is empty again, and so are the storages."""
        for left in self.folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        self._empty()

    def take(self, **settings: Any) -> Direct:
        """Lend an app until all are taken back."""
        unused = self._unused[repr(sorted(settings.items()))]
        direct = unused.pop() if unused else self._make(settings)
        self._used.append((repr(sorted(settings.items())), direct))
        direct.start_anew()
        return direct

    def _make(self, settings: Mapping[str, Any]) -> Direct:
        values = {"data": self.folder, "storage_url": "memory:", "database_url": self.database_url, **settings}
        clock = ManualClock()
        return Direct(create_app(Settings(**values), clock=clock), clock)


@pytest.fixture(scope="session")
def pool_sqlite(blank) -> Iterator[Pool]:
    """Give the apps that tests share on SQLite, whose database is a copy of what was migrated once."""
    with quick_folder() as folder:
        yield Pool(
            folder, f"sqlite:///{folder / 'moorage.db'}", lambda: shutil.copy(blank / "moorage.db", folder) and None
        )


@pytest.fixture(scope="session")
def pool_postgresql(postgres: PostgresServer) -> Iterator[Pool]:
    """Give the apps that tests share on PostgreSQL, whose database keeps its tables and loses their rows."""
    url = postgres.create_database("services")
    with quick_folder() as folder:
        with running_app(folder, storage_url="memory:", database_url=url) as app:
            upgrade(app)
        yield Pool(folder, url, partial(postgres.empty_database, "services", keep=["alembic_version", "access_state"]))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_tools)])
def database_url(request) -> Iterator[str]:
    """Give an empty database with the schema of today."""
    pool = request.getfixturevalue(f"pool_{request.param}")
    pool.start_anew()
    yield pool.database_url
    pool.take_back()


@pytest.fixture
def pool(request, database_url) -> Pool:
    """Give the apps that tests share on the test's database."""
    return request.getfixturevalue(f"pool_{make_url(database_url).get_backend_name()}")


@pytest.fixture
def files(pool) -> Path:
    """Give the folder of a storage on files, the same for all apps that tests share."""
    return pool.folder / "storage"


@pytest.fixture
def start(request, pool, database_url) -> Iterator[Start]:
    """Give the function that makes an app on the test's database; call it twice for two processes."""
    with ExitStack() as stack:

        def make(*, plugins: Sequence[object] = (), clock: ManualClock | None = None, **settings: Any) -> Direct:
            if not (plugins or clock):
                return pool.take(**settings)
            clock = clock or ManualClock()
            data = request.getfixturevalue("tmp_path")
            values = {"data": data, "storage_url": "memory:", "database_url": database_url, **settings}
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
def on_storage(request, start, files) -> Direct:
    """Give an app over each storage that needs no service."""
    return start() if request.param == "memory" else start(storage_url=f"file://{files}")
