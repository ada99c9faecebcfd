"""Plugins that are installed for the time of a test."""

import shutil
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from registry.app import create_app
from registry.hooks import hookimpl, manager
from registry.settings import Settings
from tests.support.direct import Direct, ManualClock


class Plugged:
    """Makes apps with plugins, all of them over one SQLite database and the files of one folder."""

    def __init__(self, folder: Path, blank: Path) -> None:
        """Start with a copy of the database in ``blank``."""
        self._folder = folder
        self._made: list[Direct] = []
        shutil.copy(blank / "moorage.db", folder)

    def __call__(self, *plugins: object, **settings: Any) -> Direct:
        """Return the services of an app with ``plugins``."""
        values = {"data": self._folder, "storage_url": f"file://{self._folder / 'storage'}", **settings}
        direct = Direct(create_app(Settings(**values), plugins, clock=(clock := ManualClock())), clock)
        self._made.append(direct)
        return direct

    def close(self) -> None:
        """Let go of the database."""
        for direct in self._made:
            direct.services.database.close_idle()


def made_plugin(name: str, **functions: Callable[..., object]) -> ModuleType:
    """Return a module of hook implementations."""
    module = ModuleType(name)
    vars(module).update({hook: hookimpl(function) for hook, function in functions.items()})
    return module


def install(monkeypatch: pytest.MonkeyPatch, **modules: ModuleType | None) -> None:
    """Replace what is installed by entry points of the test's own; one that is None cannot be imported."""
    points = []
    for name, module in modules.items():
        full = f"moorage_of_this_test_{name}".replace("-", "_")
        if module is not None:
            monkeypatch.setitem(sys.modules, full, module)
        points.append(EntryPoint(name, full, manager.ENTRY_POINT_GROUP))
    monkeypatch.setattr(manager, "entry_points", lambda group: points if group == manager.ENTRY_POINT_GROUP else [])
