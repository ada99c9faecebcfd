"""What the command line tells of plugins and of their settings."""

import json
import os
from dataclasses import dataclass, field
from functools import partial

import pytest
from click.testing import CliRunner

from registry.cli import main
from tests.support.plugins import install, made_plugin


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MOORAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def installed(monkeypatch):
    return partial(install, monkeypatch)


def run(*args, code=0):
    result = CliRunner().invoke(main, args, prog_name="moorage")
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


@dataclass(frozen=True)
class Chosen:
    most: int = field(default=3, metadata={"about": "how many"})
    types: tuple[str, ...] = ()
    rules: tuple[dict[str, str], ...] = ()
    api_key: str = ""


def test_settings_of_plugins_are_shown_with_their_sources(installed, tmp_path, monkeypatch):
    installed(note=made_plugin("note", plugin_settings=lambda: Chosen))
    (tmp_path / "moorage.toml").write_text(
        '[plugins.note]\nmost = 4\ntypes = ["a", "b"]\nrules = [{ tag = "v*" }]\napi_key = "hush"\n'
    )
    monkeypatch.setenv("MOORAGE_PLUGIN_NOTE_MOST", "5")
    text = run("config", "show")
    lines = {words[0]: line for line in text.splitlines() if (words := line.split())}
    assert lines["plugins.note.most"].split() == ["plugins.note.most", "5", "MOORAGE_PLUGIN_NOTE_MOST", "how", "many"]
    assert "a, b" in lines["plugins.note.types"]
    assert '[{"tag": "v*"}]' in lines["plugins.note.rules"]
    assert "hush" not in text
    shown = {item["name"]: item for item in json.loads(run("config", "show", "--json"))}
    assert shown["plugins.note.rules"]["source"] == "moorage.toml:4"
    assert "hush" not in str(shown)


def test_a_check_tells_every_problem_of_plugins_at_once(installed, tmp_path, monkeypatch):
    installed(note=made_plugin("note", plugin_settings=lambda: Chosen))
    (tmp_path / "moorage.toml").write_text("[plugins.note]\nmst = 4\n[plugins.other]\n")
    monkeypatch.setenv("MOORAGE_PLUGIN_NOTE_MOST", "many")
    found = [item for item in json.loads(run("config", "check", "--json", code=1)) if item["state"] == "failed"]
    assert {item["name"] for item in found} == {"plugin settings"}
    told = sorted(item["detail"].partition(";")[0] for item in found)
    assert told == [
        'MOORAGE_PLUGIN_NOTE_MOST: plugins.note.most: expected a whole number, not "many"',
        "moorage.toml:2: plugins.note: there is no setting mst",
        "moorage.toml:3: there is no plugin other",
    ]
    assert "there is no setting mst; did you mean most?" in run("config", "show", code=1)


def test_a_check_tells_of_plugins_that_share_a_section(installed):
    plugins = {name: made_plugin(name, plugin_settings=lambda: Chosen) for name in ("my_note", "My-Note")}
    installed(**plugins)
    assert "My-Note and my_note" in run("config", "check", code=1)
