"""What the pages for writers of plugins show runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r'^```python(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def blocks(page):
    return dict(_BLOCK.findall((DOCS / page).read_text()))


def run(folder, *command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page", ["testing.md", "writing-plugins.md"])
def test_every_block_is_named_and_compiles(page):
    found = blocks(page)
    assert found
    assert "" not in found
    for title, code in found.items():
        compile(code, title, "exec")


@pytest.mark.needs_tools
def test_the_tests_that_the_page_shows_pass(tmp_path):
    found = blocks("testing.md")
    for title, code in found.items():
        (tmp_path / title).write_text(code)
    printed = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")
    assert int(re.search(r"(\d+) passed", printed)[1]) >= len(found)


@pytest.mark.needs_tools
def test_the_tutorials_plugin_passes_its_tests_and_every_judge(tmp_path):
    folder = tmp_path / "moorage-recipe"
    made = CliRunner().invoke(main, ["plugins", "new", "recipe", "--kind", "format", "--directory", str(folder)])
    assert made.exit_code == 0, made.output
    for title, code in blocks("writing-plugins.md").items():
        assert (folder / title).exists(), f"{title} is in the place of one that was written"
        (folder / title).write_text(code)
    run(folder, "ruff", "check", "--no-cache", ".")
    run(folder, "ruff", "format", "--no-cache", "--check", ".")
    run(folder, "mypy", "--cache-dir", str(tmp_path / "mypy"))
    checked = CliRunner().invoke(main, ["plugins", "check", str(folder)])
    assert checked.exit_code == 0, checked.output
