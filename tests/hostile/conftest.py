"""A registry to be attacked, one for each test, with everything it may write below one folder."""

import pytest

from tests.support.api import Api, blank_data, quick_folder, running_app


@pytest.fixture(scope="session")
def blank(tmp_path_factory):
    return blank_data(tmp_path_factory.mktemp("blank") / "data")


@pytest.fixture
def folder():
    """The folder around the data: what a path that climbs out of it would reach first."""
    with quick_folder() as path:
        (path / "canary").write_text("not yours")
        yield path


@pytest.fixture
def app(folder, blank):
    with running_app(folder / "data", blank=blank) as running:
        yield running


@pytest.fixture
def api(client):
    return Api(client)
