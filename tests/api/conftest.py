"""A fresh registry for each test, over SQLite and files, asked through Flask's client."""

import pytest

from tests.support.api import Api, Clock, blank_data, quick_folder, running_app


@pytest.fixture(scope="session")
def blank(tmp_path_factory):
    return blank_data(tmp_path_factory.mktemp("blank") / "data")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder():
    with quick_folder() as path:
        yield path


@pytest.fixture
def app(folder, blank, clock):
    with running_app(folder / "data", blank=blank, clock=clock, page_size_max=100) as running:
        yield running


@pytest.fixture
def api(client):
    return Api(client)
