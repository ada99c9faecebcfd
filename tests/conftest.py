"""Fixtures that every test folder shares."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.network import loopback_only
from tests.support.services import PostgresServer, VersityGateway
from tests.support.tools import tool


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Keep quick tests, their fixtures included, off the network."""
    if item.get_closest_marker("needs_tools"):
        return (yield)
    with loopback_only():
        return (yield)


@pytest.fixture(scope="session")
def tools() -> Callable[[str], str]:
    """Give the function that finds a program by name, or skips the test."""
    return tool


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Give one PostgreSQL server to the whole session; make a database of your own in it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def s3_gateway() -> Iterator[VersityGateway]:
    """Give one S3 service to the whole session; make a bucket of your own in it."""
    with VersityGateway() as gateway:
        yield gateway
