"""Apps with plugins of a test's own."""

from types import ModuleType
from typing import Any

import pytest

from registry.app import create_app
from registry.hooks import hookimpl
from registry.schema import upgrade
from registry.settings import Settings
from tests.support.direct import Direct, ManualClock


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


@pytest.fixture
def make_plugin():
    """Give the function that makes a plugin of hook implementations."""

    def make(name: str, **functions: Any) -> ModuleType:
        module = ModuleType(name)
        vars(module).update({key: hookimpl(function) for key, function in functions.items()})
        return module

    return make
