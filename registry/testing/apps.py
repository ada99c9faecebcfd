"""Registries inside the test's process: real apps over a migrated copy of one SQLite file."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask

from registry import schema
from registry.app import create_app
from registry.db.engine import Database
from registry.hooks import StorageDriver
from registry.hooks.manager import FAILED, PluginError
from registry.services import Services
from registry.settings import Settings
from registry.testing.clock import Clock

__all__ = ["blank_data", "quick_folder", "running_app"]

_DATABASE = "moorage.db"


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Give an empty folder, in memory where there is a file system for that: flushing files is all tests wait for."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder made in it has a name of its own
    writable = os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="moorage-", dir=memory if writable else None) as folder:
        yield Path(folder)


def blank_data(folder: Path) -> Path:
    """Make a data folder whose schema is up to date; copying it is quicker than migrating each test's own."""
    with running_app(folder) as app:
        schema.upgrade(app)
    return folder


@contextmanager
def running_app(
    data: Path,
    *,
    blank: Path | None = None,
    clock: Clock | None = None,
    with_plugins: Sequence[object] = (),
    wrap_storage: Callable[[StorageDriver], StorageDriver] | None = None,
    **settings: Any,  # noqa: ANN401 - whatever Settings takes
) -> Iterator[Flask]:
    """Give an app over SQLite in ``data``; the database starts as a copy of that in ``blank`` if it is given.

    Nothing is read from the environment or from a configuration file. Raises
    :class:`~registry.hooks.manager.PluginError` where one of ``with_plugins`` is not taken.
    """
    data.mkdir(exist_ok=True)
    if blank is not None:
        shutil.copy(blank / _DATABASE, data)
    app = create_app(Settings(data=data, **settings), with_plugins, clock=clock, wrap_storage=wrap_storage)
    app.testing = True
    # As in production, what goes wrong inside is a 500 that tests can see, not an exception in the test.
    app.config["PROPAGATE_EXCEPTIONS"] = False
    services: Services = app.extensions["moorage"]
    database: Database = services.database
    try:
        _refuse_lost(services)
        yield app
    finally:
        database.close_idle()


def _refuse_lost(services: Services) -> None:
    lost = [
        f"{plugin.name}: {plugin.reason}"
        for plugin in services.plugins
        if plugin.source == "argument" and plugin.state == FAILED and not plugin.reason.startswith("already loaded")
    ]
    if lost:
        raise PluginError(f"plugins given to the registry under test are not active: {'; '.join(lost)}")
