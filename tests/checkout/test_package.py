"""What is handed out: the wheel works from anywhere, and the sdist holds all that a checkout does."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs_tools  # they need none, but take long

ROOT = Path(__file__).resolve().parents[2]
HANDED_OUT = ("registry", "plugins", "migrations", "tests", "benchmarks", "deploy", "docs", "examples", "scripts")
PLUGINS = sorted(folder.name for folder in (ROOT / "plugins").glob("moorage_*"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def sources(folder):
    files = (file.relative_to(ROOT) for file in (ROOT / folder).rglob("*") if file.is_file())
    return {str(file) for file in files if not any(part.endswith(("__pycache__", "_cache")) for part in file.parts)}


def test_the_sdist_holds_all_that_a_checkout_does(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = set().union(*map(sources, HANDED_OUT))
    assert wanted - held == set()
    assert {"Makefile", "README.md", "LICENSE", "CHANGELOG.md", "wsgi.py", "gunicorn.conf.py", "mkdocs.yml"} <= held


def test_the_wheel_holds_every_module_migration_and_bundled_plugin(installed):
    for file in sources("registry"):
        assert (installed / file).is_file(), file
    for file in sources("migrations"):
        assert (installed / "registry" / "_share" / file).is_file(), file
    assert PLUGINS
    for name in PLUGINS:
        assert (installed / name / "__init__.py").is_file(), name
    assert not (installed / "tests").exists()


@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_bundled_plugin_is_found_by_its_entry_point(installed, plugin):
    (points,) = installed.glob("*.dist-info/entry_points.txt")
    assert plugin in points.read_text().partition("[moorage]")[2].replace("=", " ").split()


def test_the_installed_command_makes_its_database_in_another_folder(installed, tmp_path):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MOORAGE_")}
    script = "import sys, registry; print(registry.__file__); from registry.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", script, "db", "upgrade", "--data", "d"],
        cwd=tmp_path,
        env={**inherited, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(installed))
    assert "migrations applied: 0" not in done.stdout
    assert (tmp_path / "d" / "moorage.db").is_file()
