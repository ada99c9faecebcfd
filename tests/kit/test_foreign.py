"""A project that only wants a registry in its tests gets one: quickly, isolated, and gone afterwards."""

import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

FOREIGN = Path(__file__).parent / "foreign"


@pytest.fixture
def foreign(tmp_path):
    """Give the function that runs the project's tests; it returns what pytest printed, and the times of fixtures."""
    shutil.copytree(FOREIGN, tmp_path / "shop")
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def run(*arguments):
        figures = tmp_path / "figures"
        figures.write_text("")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MOORAGE_"))}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
            cwd=tmp_path / "shop",
            env={**inherited, "SHOP_FIGURES": str(figures), "TMPDIR": str(temporary), "MOORAGE_LISTEN": "nonsense"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        left = [path.name for path in temporary.iterdir() if not path.name.startswith("pytest-of-")]
        assert left == []
        return done.stdout, [tuple(map(float, line.split())) for line in figures.read_text().splitlines()]

    return run


@pytest.mark.needs_tools
@pytest.mark.alone
def test_it_runs_leaves_nothing_and_starts_quickly(foreign, figure):
    printed, times = foreign()
    assert "9 passed" in printed
    assert len(times) == 6
    first, later = times[0], [statistics.median(column) for column in zip(*times[1:], strict=True)]
    figure(
        f"moorage_server starts in {later[0]:.3f} s ({later[1]:.3f} s of a processor); the first of a session, with "
        f"imports and schema, in {first[0]:.3f} s ({first[1]:.3f} s)"
    )


@pytest.mark.needs_tools
def test_it_is_isolated_in_parallel(foreign):
    printed, times = foreign("-n", "2")
    assert "9 passed" in printed
    assert len(times) == 6


def test_a_run_without_a_registry_loads_none():
    script = (
        "import sys, registry.testing.plugin;"
        "heavy = {'flask', 'sqlalchemy', 'httpx', 'registry.app', 'registry.hooks', 'registry.testing.images'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
