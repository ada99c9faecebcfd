"""Wheels of Moorage, of the stranger's plugin and of the examples, in a fresh environment."""

import sys
from pathlib import Path

import pytest

from tests.thirdparty.building import EXAMPLES, HERE, ROOT, run


@pytest.fixture(autouse=True)
def nothing_of_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import what is installed alone, also where the tests themselves found the checkout by this variable."""
    monkeypatch.delenv("PYTHONPATH", raising=False)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> dict[str, Path]:
    """Return the wheels by the name of their distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in (ROOT, HERE, *EXAMPLES):
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source)
    return {wheel.name.partition("-")[0]: wheel for wheel in folder.glob("*.whl")}


@pytest.fixture(scope="session")
def python(tmp_path_factory, wheels) -> Path:
    """Return the Python of a fresh environment with all wheels, pytest, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin" / "pip", "install", "--quiet", *wheels.values(), f"{wheels['moorage']}[testing]")
    return folder / "bin" / "python"
