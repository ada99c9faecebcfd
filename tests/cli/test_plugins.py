"""What the command line tells of plugins and of their settings."""

import json
import sqlite3
from dataclasses import dataclass, field

import click
from flask import Blueprint

from registry.hooks import API_VERSION, LabelAction, PluginJob
from tests.support.cli import run
from tests.support.plugins import made_plugin


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


def test_plugins_are_listed_with_and_without_the_subcommand():
    assert run("plugins") == run("plugins", "list")
    found = {item["name"]: item for item in json.loads(run("plugins", "--json"))}
    assert json.loads(run("plugins", "list", "--json")) == list(found.values())
    assert found["expiry"]["api"] == "1.0"


def fully(api="1.3"):
    """Return a plugin that adds something of every kind."""
    pages = Blueprint("note", __name__)
    pages.add_url_rule("/note/<name>", "note", lambda name: name)
    plugin = made_plugin(
        "note",
        plugin_settings=lambda: Chosen,
        manifest_media_types=lambda: ["application/vnd.example.note.v1+json"],
        label_actions=lambda: [LabelAction("org.example.x", lambda value: [])],
        jobs=lambda: [PluginJob("count", "count", lambda run: {})],
        blueprints=lambda: [pages],
        cli_commands=lambda: [click.Command("hello")],
    )
    plugin.MOORAGE_API = api
    return plugin


def test_a_plugin_is_shown_with_what_it_adds_and_how_it_does(installed, monkeypatch):
    installed(note=fully())
    monkeypatch.setenv("MOORAGE_PLUGIN_NOTE_MOST", "5")
    monkeypatch.setenv("MOORAGE_PLUGIN_NOTE_API_KEY", "hush")
    run("db", "upgrade", "--data", "d")
    with sqlite3.connect("d/moorage.db") as database:
        database.execute("INSERT INTO plugin_health VALUES ('note', 'jobs', 7, 2, 1500000, 'it broke', 1709208000000)")
    text = run("plugins", "show", "note", "--data", "d")
    shown = json.loads(run("plugins", "show", "note", "--data", "d", "--json"))
    assert "hush" not in text + str(shown)
    assert (shown["state"], shown["plugin API"]) == ("active", f"needs 1.3, offered {API_VERSION}")
    assert (shown["jobs"], shown["commands"], shown["routes"]) == (["note.count"], ["hello"], ["/note/<name>"])
    assert shown["media types"] == ["application/vnd.example.note.v1+json"]
    assert shown["label keys"] == ["org.example.x"]
    assert shown["settings"][0] == {
        "name": "most",
        "value": 5,
        "source": "MOORAGE_PLUGIN_NOTE_MOST",
        "about": "how many",
    }
    assert shown["health"][0] == {
        "hook": "jobs",
        "calls": 7,
        "failures": 2,
        "seconds": 1.5,
        "last_error": "it broke",
        "last_error_at": "2024-02-29T12:00:00+00:00",
    }
    assert "7 calls, 2 failures, 1.500 s; 2024-02-29T12:00:00+00:00: it broke" in text
    assert "5 (MOORAGE_PLUGIN_NOTE_MOST)" in text


def test_artifact_types_are_shown_with_their_owner():
    shown = json.loads(run("plugins", "show", "oras_artifact", "--json"))
    assert "application/vnd.cncf.helm.config.v1+json" in shown["artifact types"]
    assert json.loads(run("plugins", "show", "expiry", "--json"))["artifact types"] == []


def test_a_plugin_is_shown_without_any_data(installed, tmp_path):
    installed(note=fully())
    assert json.loads(run("plugins", "show", "note", "--json"))["health"] == []
    assert list(tmp_path.iterdir()) == []


def test_a_plugin_that_is_not_loaded_is_shown_with_the_reason(installed):
    installed(note=fully("1.99"))
    assert "upgrade moorage" in run("plugins", "show", "note")
    assert "there is no plugin nte; did you mean note?" in run("plugins", "show", "nte", code=1)


def test_a_plugin_is_shown_where_the_start_is_refused(installed):
    installed(note=fully(), other=fully())
    text = run("plugins", "show", "note")
    assert "note and other" in text
    assert "active" in text
