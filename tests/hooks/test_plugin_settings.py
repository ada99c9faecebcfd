"""Settings of plugins: declared as a dataclass, read from the file and from variables, checked and shown."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from registry.hooks import hookimpl
from registry.hooks.configuration import PluginSettingsRefused
from registry.hooks.manager import PluginError, create_plugin_manager
from registry.plugin_loading import settings_of_plugins
from registry.settings import load_settings


@dataclass(frozen=True)
class Rule:
    tag: str
    deny: bool = False
    most: int | None = None

    def __post_init__(self):
        if self.most == 13:
            raise ValueError("most is not 13")


@dataclass(frozen=True)
class Chosen:
    strict: bool = field(default=False, metadata={"about": "refuse more"})
    most: int = 3
    ratio: float = 0.5
    folder: Path = Path("/nowhere")
    key_file: Path | None = None
    types: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    api_token: str = ""
    rule: Rule | None = None
    rules: tuple[Rule, ...] = ()


def plugin(name: str = "note", declared: object = Chosen) -> ModuleType:
    module = ModuleType(name)
    module.plugin_settings = hookimpl(lambda: declared)
    return module


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Give the function that reads settings as a start does: a file, variables, plugins."""
    monkeypatch.chdir(tmp_path)

    def read(text="", environ=None, plugins=None, **options):
        Path("m.toml").write_text(text)
        settings = load_settings({"config": "m.toml"}, environ or {})
        found = create_plugin_manager([plugin()] if plugins is None else plugins, **options)
        return settings_of_plugins(found, settings)

    return read


@pytest.fixture
def problems(configured):
    def read(*args, **options):
        with pytest.raises(PluginSettingsRefused) as caught:
            configured(*args, **options)
        return list(caught.value.problems)

    return read


def test_plugin_settings_without_any_are_the_defaults(configured):
    assert configured().values["note"] == Chosen()


def test_plugin_settings_come_from_the_table_of_the_plugin(configured):
    text = """
[plugins.note]
strict = true
most = 4
ratio = 2
folder = "/srv"
types = ["a", "b"]
headers = { X-Team = "ours" }
rule = { tag = "v*" }
[[plugins.note.rules]]
tag = "latest"
deny = true
[[plugins.note.rules]]
tag = "v*"
most = 5
"""
    rules = (Rule("latest", deny=True), Rule("v*", most=5))
    assert configured(text).values["note"] == Chosen(
        strict=True,
        most=4,
        ratio=2.0,
        folder=Path("/srv"),
        types=("a", "b"),
        headers={"X-Team": "ours"},
        rule=Rule("v*"),
        rules=rules,
    )


def test_plugin_settings_of_variables_win_over_the_file(configured):
    environ = {
        "MOORAGE_PLUGIN_NOTE_STRICT": "yes",
        "MOORAGE_PLUGIN_NOTE_MOST": "7",
        "MOORAGE_PLUGIN_NOTE_RATIO": "",
        "MOORAGE_PLUGIN_NOTE_TYPES": "a, b",
        "MOORAGE_PLUGIN_NOTE_HEADERS": '{"X-Team": "ours"}',
        "MOORAGE_PLUGIN_NOTE_RULES": '[{"tag": "x"}]',
        "MOORAGE_PLUGIN_NOTE_KEY_FILE": "~/k.pem",
        "MOORAGE_PLUGIN_NOTE_API_TOKEN": "007",
    }
    found = configured("[plugins.note]\nstrict = false\nmost = 1\nratio = 1.5\n", environ).values["note"]
    assert found == Chosen(
        strict=True,
        most=7,
        ratio=1.5,
        types=("a", "b"),
        headers={"X-Team": "ours"},
        rules=(Rule("x"),),
        key_file=Path("~/k.pem").expanduser(),
        api_token="007",
    )


def test_plugin_settings_are_found_whatever_the_dashes_and_cases_of_the_name(configured):
    found = configured('[plugins."My-Note"]\nmost = 9\n', {"MOORAGE_PLUGIN_MY_NOTE_STRICT": "1"}, [plugin("my_note")])
    assert found.values["my_note"] == Chosen(strict=True, most=9)


def test_plugin_settings_of_names_that_begin_alike_go_where_the_setting_is(configured):
    other = dataclasses.make_dataclass("Other", [("b_most", int, 1)], frozen=True)
    plugins = [plugin("a", other), plugin("a_b")]
    found = configured("", {"MOORAGE_PLUGIN_A_B_MOST": "5", "MOORAGE_PLUGIN_A_B_STRICT": "true"}, plugins).values
    assert (found["a"].b_most, found["a_b"]) == (1, Chosen(strict=True, most=5))


def test_plugin_settings_problems_are_told_at_once_with_their_places(problems):
    text = """
[plugins.note]
strct = true
most = "many"
ratio = []
types = "a"
headers = 7
rule = { deny = true }
[[plugins.note.rules]]
tag = "a"
[[plugins.note.rules]]
tag = 5
colour = 1
[[plugins.note.rules]]
tag = "b"
most = 13
[plugins.nope]
x = 1
[plugins.expiry]
x = 1
"""
    environ = {"MOORAGE_PLUGIN_NOTE_FOLDR": "x", "MOORAGE_PLUGIN_OTHER_X": "1", "MOORAGE_PLUGIN_NOTE_TYPES": "[1"}
    told = problems(text, environ)
    for part in (
        "m.toml:3: plugins.note: there is no setting strct; did you mean strict?",
        'm.toml:4: plugins.note.most: expected a whole number, not "many"',
        "m.toml:5: plugins.note.ratio: expected a number, not a list",
        "MOORAGE_PLUGIN_NOTE_TYPES: plugins.note.types: is no JSON",
        "m.toml:7: plugins.note.headers: expected a table, not a whole number",
        "m.toml:8: plugins.note.rule: tag is missing",
        "m.toml:11: plugins.note.rules[1].tag: expected text, not 5",
        "m.toml:11: plugins.note.rules[1]: there is no setting colour; there are: tag, deny, most",
        "m.toml:14: plugins.note.rules[2]: most is not 13",
        "m.toml:17: there is no plugin nope; ",
        "m.toml:19: plugin expiry has no settings",
        "MOORAGE_PLUGIN_NOTE_FOLDR: plugins.note: there is no setting foldr; did you mean folder?",
        "MOORAGE_PLUGIN_OTHER_X: there is no plugin other_x; installed: ",
    ):
        assert any(line.startswith(part) for line in told), (part, told)
    assert len(told) == 13


def test_plugin_settings_that_are_no_table_are_refused(problems):
    assert problems("[plugins]\nnote = 1\n") == ["m.toml:2: plugins.note: expected a table [plugins.note]"]


def test_plugin_settings_given_twice_are_refused(problems):
    (told,) = problems('[plugins.note]\nmost = 1\n[plugins."Note"]\nmost = 2\n')
    assert told == "m.toml:4: plugins.note.most: is set at m.toml:2, too"


def test_plugin_settings_of_a_plugin_that_is_not_loaded_are_left_alone(configured):
    broken = ModuleType("broken")
    broken.nonsense = hookimpl(lambda: None)
    text = "[plugins.note]\nx = 1\n[plugins.broken]\ny = 1\n"
    found = configured(text, {"MOORAGE_PLUGIN_NOTE_Z": "1"}, [plugin(), broken], blocked=["note"])
    assert "note" not in found.values


def test_plugin_settings_are_shown_without_secrets(configured):
    text = '[plugins.note]\napi_token = "hush"\nheaders = { secret-x = "hush" }\ntypes = ["https://u:hush@h"]\n'
    shown = {item.name: item for item in configured(text, {"MOORAGE_PLUGIN_NOTE_MOST": "5"}).shown}
    noted = {name for name in shown if name.startswith("plugins.note.")}
    assert noted == {f"plugins.note.{one.name}" for one in dataclasses.fields(Chosen)}
    assert "hush" not in str(shown)
    most, strict = shown["plugins.note.most"], shown["plugins.note.strict"]
    assert (most.variable, most.value, most.default) == ("MOORAGE_PLUGIN_NOTE_MOST", 5, 3)
    assert (most.source, strict.source, shown["plugins.note.types"].source) == (
        "MOORAGE_PLUGIN_NOTE_MOST",
        "default",
        "m.toml:4",
    )
    assert strict.help == "refuse more"


def public(**default):
    return field(metadata={"public": True}, **default)


@dataclass(frozen=True)
class Inner:
    key: str = public(default="")
    token: str = ""


@dataclass(frozen=True)
class Open:
    key_id: str = public(default="")
    inner: Inner = Inner()
    keys: Mapping[str, str] = public(default_factory=dict)


def test_plugin_settings_that_are_said_to_be_public_are_shown_whatever_their_name(configured):
    text = """
[plugins.note]
key_id = "K7"
inner = { key = "K8", token = "hush" }
keys = { a = "K9", token = "hush" }
"""
    shown = {item.name: item.value for item in configured(text, plugins=[plugin("note", Open)]).shown}
    masked = {"token": "********"}
    assert {name.rpartition(".")[2]: value for name, value in shown.items() if ".note." in name} == {
        "key_id": "K7",
        "inner": {"key": "K8", **masked},
        "keys": {"a": "K9", **masked},
    }


def test_plugin_settings_problems_do_not_tell_secrets(problems):
    (told,) = problems("[plugins.note]\napi_token = 1234\n")
    assert "1234" not in told


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ('rules = "hush"', "rules: expected a list, not text"),
        ('rules = ["hush"]', "rules[0]: expected a table"),
        ('rules = [["hush"]]', "rules[0]: expected a table"),
        ('rules = { one = "hush" }', "rules: expected a list, not a table"),
        ('rule = "hush"', "rule: expected a table"),
        ('headers = "hush"', "headers: expected a table, not text"),
        ('headers = ["hush"]', "headers: expected a table, not a list"),
        ('headers = { a = ["hush"] }', "headers: expected text at [...]"),
        ('types = ["hush", 5]', "types: expected text at [1]"),
        ('ratio = ["hush"]', "ratio: expected a number, not a list"),
        ("strict = 2026-01-02", "strict: expected true or false, not date"),
    ],
)
def test_plugin_settings_problems_tell_only_the_kind_of_lists_and_tables(problems, given, reason):
    (told,) = problems(f"[plugins.note]\n{given}\n")
    assert told == f"m.toml:2: plugins.note.{reason}"
    assert "hush" not in told


@dataclass
class Thawed:
    a: int = 1


@dataclass(frozen=True)
class Needing:
    a: int


@dataclass(frozen=True)
class Odd:
    a: ModuleType | None = None


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (7, "returns a dataclass"),
        (Chosen(), "the class itself"),
        (Thawed, "frozen=True"),
        (Needing, "not a"),
        (Odd, "Odd.a is of a type that no file can hold"),
    ],
)
def test_plugin_settings_of_the_wrong_kind_fail_the_plugin_alone(declared, reason):
    found = create_plugin_manager([plugin("note", declared), plugin("other")])
    states = {status.name: status for status in found.statuses}
    assert (states["note"].state, states["other"].state) == ("failed", "active")
    assert reason in states["note"].reason
    assert "other" in found.settings
    assert "note" not in found.settings
    assert found.manager.get_plugin("note") is None


def test_plugin_settings_of_two_plugins_in_one_section_stop_the_start_with_both_names(with_plugins):
    with pytest.raises(PluginError, match=r"plugins\.my_note.*my-note and My_Note"):
        with_plugins(plugin("my-note"), plugin("My_Note"))


def test_plugin_settings_reach_the_context_of_the_plugin(with_plugins):
    direct = with_plugins(plugin(), plugins={"note": {"most": 8}})
    assert direct.services.contexts("note").settings == Chosen(most=8)
    with pytest.raises(PluginError, match=r"plugins\.note: there is no setting mst; did you mean most\?"):
        with_plugins(plugin(), plugins={"note": {"mst": 8}})
