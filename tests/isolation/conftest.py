"""Plugins that go wrong in every way, and what is called with them."""

import threading
from collections.abc import Iterator
from types import ModuleType

import pluggy
import pytest

from registry.hooks import specs
from registry.hooks.calls import Calls


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Give what hanging plugins wait for; at the end of the test they go on."""
    event = threading.Event()
    yield event
    event.set()


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
