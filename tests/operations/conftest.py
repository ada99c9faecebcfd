"""What tests of operations share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from registry.db.base import Base
from registry.testing.apps import quick_folder
from tests.support.asking import COMPANY, world

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def registry(blank):
    """Give a registry of the test's own, which asks who its clients are."""
    with quick_folder() as found:
        shutil.copy(blank / "moorage.db", found)
        with world(found, **COMPANY) as made:
            yield made


def rows_of(database):
    """Return all rows of all tables."""
    with database.read() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
        }


class Commands:
    """Runs ``moorage`` as its users do."""

    @staticmethod
    def env(more):
        """Return the environment of a command, without a developer's own settings."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MOORAGE_")}
        return {**inherited, **more}

    def __call__(self, *arguments, env, code=0):
        """Run a command, and return what it prints; it must end with ``code``."""
        done = subprocess.run(
            [sys.executable, "-m", "registry", *map(str, arguments)],
            env=self.env(env),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout


command = Commands()


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Run commands in an empty folder, without settings from the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MOORAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MOORAGE_AUTHENTICATION", "true")


def silent(_what, _done, _total):
    """Be told how far something is."""
