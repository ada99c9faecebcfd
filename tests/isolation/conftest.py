"""Plugins that go wrong in every way, and what is called with them."""

import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pluggy
import pytest

from registry.app import create_app
from registry.hooks import hookimpl, specs
from registry.hooks.calls import Calls
from registry.schema import upgrade
from registry.settings import Settings
from tests.support.direct import Direct, ManualClock


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Give what hanging plugins wait for; at the end of the test they go on."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def make_plugin():
    """Give the function that makes a plugin of hook implementations."""

    def make(name: str, **functions: Any) -> ModuleType:
        module = ModuleType(name)
        vars(module).update({key: hookimpl(function) for key, function in functions.items()})
        return module

    return make


@pytest.fixture
def calls_of():
    """Give the function that makes the calls of some plugins, each of which may take a minute where a test does not say less."""

    def make(*plugins: ModuleType, deadline: float = 60.0) -> Calls:
        manager = pluggy.PluginManager("moorage")
        manager.add_hookspecs(specs)
        for plugin in plugins:
            manager.register(plugin, plugin.__name__)
        return Calls(manager, deadline)

    return make


@pytest.fixture
def with_plugins(tmp_path):
    """Give the function that makes an app with plugins; every app stands on the same database and storage."""
    made: list[Direct] = []

    def start(*plugins: object, **settings: Any) -> Direct:
        values = {"data": tmp_path, "storage_url": f"file://{tmp_path / 'storage'}", **settings}
        direct = Direct(create_app(Settings(**values), plugins, clock=(clock := ManualClock())), clock)
        upgrade(direct.app)
        made.append(direct)
        return direct

    yield start
    for direct in made:
        direct.services.database.close_idle()
