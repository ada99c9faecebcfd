"""A registry to be attacked, empty for each test, with everything it may write below one folder."""

import pytest

from tests.support.api import Api, common_app


@pytest.fixture(scope="session")
def common(blank):
    with common_app(blank) as common:
        yield common


@pytest.fixture
def folder(common):
    """The folder around the data: what a path that climbs out of it would reach first."""
    common.start_anew()
    (common.folder / "canary").write_text("not yours")
    return common.folder


@pytest.fixture
def app(common, folder):
    return common.app


@pytest.fixture
def api(client):
    return Api(client)
