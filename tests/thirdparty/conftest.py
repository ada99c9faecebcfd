"""Wheels of Moorage, of the stranger's plugin and of the examples, in a fresh environment."""

import sys
from pathlib import Path

import pytest

from tests.thirdparty.building import EXAMPLES, HERE, ROOT, run


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
    pip = (folder / "bin" / "pip", "install", "--quiet", "--no-compile")  # of what is installed little is imported
    run(*pip, *(f"{wheel}[testing]" if name == "moorage" else wheel for name, wheel in wheels.items()))
    return folder / "bin" / "python"
