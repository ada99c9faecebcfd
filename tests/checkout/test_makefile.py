"""The Makefile on a machine that has nothing yet: programs that only note how they were called stand for the real ones."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIM = "#!/bin/sh\necho 'pyenv: no such version' >&2\nexit 127\n"
PYTHON = """#!/bin/sh
case "$1" in
--version) echo "Python 3.$0" ;;
-c) exit 0 ;;
*) mkdir -p .venv/bin && cp "$FAKES/pip" .venv/bin/python && cp "$FAKES/pip" .venv/bin/moorage ;;
esac
"""
PIP = """#!/bin/sh
[ "$1" = -c ] && exit 0
echo "$0 $*" >> calls
case "$*" in *install*)
  echo 'Requirement already satisfied: pip'
  echo '  Downloading flask-3.1.3-py3-none-any.whl.metadata (3 kB)'
  echo '  Downloading flask-3.1.3-py3-none-any.whl (103 kB)'
  echo 'Installing collected packages: flask'
  exit "${PIP_ENDS:-0}" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    folder, fakes = tmp_path / "checkout", tmp_path / "fakes"
    folder.mkdir()
    fakes.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name, text in {"python3.13": SHIM, "python3.12": PYTHON, "pip": PIP}.items():
        (fakes / name).write_text(text)
        (fakes / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{fakes}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKES", str(fakes))
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "ARGS"):  # of the make that runs these tests
        monkeypatch.delenv(name, raising=False)
    return folder


def make(folder, *args):
    return subprocess.run(["make", *args], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def calls(folder):
    file = folder / "calls"
    return file.read_text().splitlines() if file.exists() else []


def test_serving_installs_what_serves_and_no_tools_of_developers(checkout):
    done = make(checkout, "serve", "ARGS=--data d")
    assert done.returncode == 0, done.stderr
    installed, served = calls(checkout)
    assert installed.endswith("-e .")
    assert served == ".venv/bin/moorage serve --data d"
    make(checkout, "serve")
    assert len(calls(checkout)) == 3  # nothing is installed twice


def test_it_says_what_it_does(checkout):
    lines = make(checkout, "serve").stdout.splitlines()
    assert [line for line in lines if not line.startswith("setup: ")] == [
        "  downloading flask-3.1.3-py3-none-any.whl (103 kB)",
        "  unpacking and compiling",
        ".venv/bin/moorage serve ",
    ]
    assert [line.split()[1] for line in lines if line.startswith("setup: ")] == ["creating", "installing", "done"]


def test_a_name_that_does_not_run_is_passed_over(checkout):
    told = make(checkout, "serve").stdout
    assert "creating .venv with Python 3." in told
    assert "python3.12\n" in told


def test_without_a_usable_python_it_says_what_is_needed(checkout):
    done = make(checkout, "serve", "PYTHONS=python3.13 no-such-python")
    assert done.returncode != 0
    assert "Python 3.11 or newer with venv is needed" in done.stderr
    assert "python3.13 no-such-python" in done.stderr


def test_an_installation_that_fails_is_a_failure_and_tried_again(checkout, monkeypatch):
    monkeypatch.setenv("PIP_ENDS", "1")
    assert make(checkout, "serve").returncode != 0
    monkeypatch.setenv("PIP_ENDS", "0")
    assert make(checkout, "serve").returncode == 0
    assert len(calls(checkout)) == 3  # two installations, and the server


def test_testing_installs_the_tools_after_serving(checkout):
    make(checkout, "serve")
    assert make(checkout, "test", "ARGS=tests/unit").returncode == 0
    _, _, installed, tested = calls(checkout)
    assert installed.endswith("-e .[dev]")
    assert tested.endswith("tests/unit")
    make(checkout, "serve")
    assert len(calls(checkout)) == 5
