"""What tests of commands share: nothing is read from where they run."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.plugins import install


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, without settings from the environment, and without logins of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in [name for name in os.environ if name.startswith("MOORAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give the function that installs plugins by their names for the time of the test."""
    return partial(install, monkeypatch)
