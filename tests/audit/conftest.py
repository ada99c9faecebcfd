"""A registry that asks who its clients are, and whose audit log is read as a worker would have sealed it."""

from pathlib import Path

import pytest

from tests.support.asking import COMPANY, world
from tests.support.auditing import Log


@pytest.fixture
def registry(folder: Path):
    """Give a registry of the test's own."""
    with world(folder, **COMPANY) as made:
        yield made


@pytest.fixture
def log(registry):
    return Log(registry.services)
