"""Packages that ``moorage plugins new`` writes pass whatever judges them, as they are."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry.cli import main
from registry.cli.plugins.creating import KINDS

LONG = "a-name-as-long-as-one-can-be-x"


def new(*arguments):
    return CliRunner().invoke(main, ["plugins", "new", *map(str, arguments)])


def run(folder, *command):
    """Run a tool in a folder of the package; return its output, which is shown where it fails."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", params=[(kind, name) for kind in KINDS for name in ("a", LONG)], ids="-".join)
def package(request, tmp_path_factory):
    kind, name = request.param
    folder = tmp_path_factory.mktemp("new") / "package"
    done = new(name, "--kind", kind, "--directory", folder)
    assert done.exit_code == 0, done.output
    return folder


def test_a_package_is_whole(package):
    files = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    (module,) = (package / "src").iterdir()
    assert {
        "pyproject.toml",
        "README.md",
        ".gitignore",
        ".github/workflows/test.yml",
        f"src/{module.name}/__init__.py",
        f"src/{module.name}/py.typed",
        f"tests/test_{module.name}.py",
    } == files
    assert "{{" not in "".join((package / path).read_text() for path in files - {".github/workflows/test.yml"})


def test_ruff_is_content(package):
    run(package, "ruff", "check", "--no-cache", ".")
    run(package, "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.needs_tools
def test_mypy_is_content(package, tmp_path_factory):
    run(package, "mypy", "--cache-dir", str(tmp_path_factory.getbasetemp() / "mypy"))


@pytest.mark.needs_tools
def test_its_tests_pass(package):
    assert " passed" in run(package, "pytest", "-q", "-p", "no:cacheprovider")


@pytest.mark.needs_tools
def test_plugins_check_is_content(package):
    assert "nothing to change" in run(package, "registry", "plugins", "check", str(package))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Recipe", "try recipe"),
        ("1recipe", "try recipe"),
        ("my_recipe", "try my-recipe"),
        ("my recipe!", "try my-recipe"),
        ("../recipe", "try recipe"),
        ("-", "is no name"),
        ("recipe-", "try recipe"),
        ("x" * 41, "30 lower-case letters"),
        ("moorage-recipe", "try recipe"),
        ("expiry", "there is a plugin expiry already, of moorage"),
        ("oci-index", "there is a plugin oci_index already"),
    ],
)
def test_a_name_that_cannot_be_says_what_can(name, reason, tmp_path):
    done = new("--kind", "format", "--directory", tmp_path / "new", "--", name)
    assert done.exit_code == 1, done.output
    assert reason in done.output
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    done = new("recipe", "--kind", "format", "--directory", tmp_path)
    assert done.exit_code == 1
    assert "is there already: choose another folder with --directory" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_kind_is_wanted_and_one_of_the_eight(tmp_path):
    assert "--kind" in new("recipe").output
    assert "format" in new("recipe", "--kind", "theme").output
    assert len(KINDS) == 8


def test_where_nothing_can_be_written_it_says_so():
    done = new("recipe", "--kind", "format", "--directory", "/proc/nothing")
    assert (done.exit_code, "cannot write" in done.output) == (1, True)


def test_it_goes_into_a_folder_of_its_name_and_says_what_is_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = new("recipe", "--kind", "label-action")
    assert "cd moorage-recipe" in done.output
    assert Path("moorage-recipe", "src", "moorage_recipe").is_dir()
