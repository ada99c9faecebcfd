"""Registries that ask who their clients are."""

import shutil
from pathlib import Path

import pytest

from registry.testing.apps import quick_folder
from tests.support.asking import world


@pytest.fixture
def folder(blank):
    """Give a data folder with an empty database."""
    with quick_folder() as found:
        shutil.copy(blank / "moorage.db", found)
        yield found


@pytest.fixture
def registry(folder: Path):
    """Give a registry of the test's own."""
    with world(folder) as made:
        yield made


@pytest.fixture(scope="module")
def shared(blank):
    """Give one registry to all tests of a module that only ask."""
    with quick_folder() as found:
        shutil.copy(blank / "moorage.db", found)
        with world(found) as made:
            yield made
