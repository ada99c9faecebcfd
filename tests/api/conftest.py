"""An empty registry for each test, over SQLite and files, asked through Flask's client."""

import pytest

from registry.testing.clock import Clock
from tests.support.api import Api, common_app


@pytest.fixture(scope="session")
def common_clock():
    return Clock()


@pytest.fixture
def clock(common_clock):
    common_clock.reset()
    return common_clock


@pytest.fixture(scope="session")
def common(blank, common_clock):
    with common_app(blank, common_clock, page_size_max=100) as common:
        yield common


@pytest.fixture
def folder(common):
    common.start_anew()
    return common.folder


@pytest.fixture
def app(common, folder, clock):
    return common.app


@pytest.fixture
def api(client):
    return Api(client)
