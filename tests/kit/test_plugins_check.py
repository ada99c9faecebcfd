"""``moorage plugins check`` finds mistakes, and names the line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry.cli import main
from registry.cli.plugins.creating import _rendered, _values
from registry.hooks import API_VERSION
from registry.plugin_checks import running
from registry.plugin_checks.project import files_of
from registry.plugin_checks.source import check_source

ROOT = Path(__file__).resolve().parents[2]

OURS = f'MOORAGE_API = "{API_VERSION}"'
MODULE, TESTS, PROJECT = "src/moorage_pie/__init__.py", "tests/test_moorage_pie.py", "pyproject.toml"


def package(folder, kind, file="", old="", new=""):
    """Write a good package with one text replaced; return the number of the line where the new text starts."""
    line = 0
    for path, written in _rendered(kind, _values("pie", kind)).items():
        text = written
        if str(path) == file:
            assert text.count(old) >= 1, f"{old!r} is not in {file}"
            line = text[: text.index(old)].count("\n") + 1 + new[: len(new) - len(new.lstrip("\n"))].count("\n")
            text = text.replace(old, new, 1)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return line


def check(folder):
    done = CliRunner().invoke(main, ["plugins", "check", str(folder), "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    told = json.loads(done.output)
    assert done.exit_code == bool(told["findings"])
    return told


# kind, file, what stands there, the mistake, words of the problem, words of the change; "+n": n lines further down
MISTAKES = {
    "entry point's group": (
        "format",
        PROJECT,
        "[project.entry-points.moorage]",
        "[project.entry-points.moorages]",
        "called moorages",
        "entry-points.moorage]",
    ),
    "entry point's module": (
        "format",
        PROJECT,
        'pie = "moorage_pie"',
        'pie = "moorage_pies"',
        "names moorage_pies",
        "src/",
    ),
    "dependency": (
        "format",
        PROJECT,
        'dependencies = ["moorage"]',
        "dependencies = []",
        "not among the dependencies",
        '["moorage"]',
    ),
    "old Python": (
        "format",
        PROJECT,
        'requires-python = ">=3.11"',
        'requires-python = ">=3.8"',
        "does not run on",
        "3.11",
    ),
    "README": (
        "format",
        PROJECT,
        'readme = "README.md"',
        'readme = "README.rst"',
        "README.rst is not there",
        "README.md",
    ),
    "TOML": ("format", PROJECT, 'version = "0.1.0"', "version = 0.1.0", "no TOML", "mend"),
    "syntax": (
        "format",
        MODULE,
        "def manifest_media_types() -> Sequence[str]:",
        "def manifest_media_types() -> Sequence[str]",
        "no Python",
        "mend",
    ),
    "hook's name": (
        "format",
        MODULE,
        "def manifest_media_types()",
        "def manifest_media_type()",
        "no hook manifest_media_type",
        "manifest_media_types?",
    ),
    "argument's name": (
        "format",
        MODULE,
        "def parse_manifest(media_type: str, payload: bytes)",
        "def parse_manifest(media_type: str, body: bytes)",
        "no argument body",
        "payload",
    ),
    "no mark": (
        "label-action",
        MODULE,
        "@hookimpl\ndef label_actions",
        "\ndef label_actions",
        "not marked",
        "@hookimpl",
    ),
    "tryfirst": ("label-action", MODULE, "@hookimpl\n", "@hookimpl(tryfirst=True)\n", "tryfirst", "plain"),
    "async": ("label-action", MODULE, "def label_actions", "async def label_actions", "async", "def"),
    "no API": ("observer", MODULE, f"{OURS}\n", "", "does not say which version", "MOORAGE_API"),
    "new API": ("observer", MODULE, OURS, 'MOORAGE_API = "1.99"', "needs plugin API 1.99", API_VERSION),
    "API as a number": ("observer", MODULE, OURS, "MOORAGE_API = 1.2", "MAJOR.MINOR", f'"{API_VERSION}"'),
    "public name": (
        "observer",
        MODULE,
        "import Event, PluginContext,",
        "import Events, PluginContext,",
        "no Events",
        "Event",
    ),
    "private module": (
        "observer",
        MODULE,
        "from typing import Any\n",
        "from typing import Any\n\nfrom registry.db.models import Tag\n",
        "no part of the plugin API",
        "registry.hooks",
    ),
    "database": (
        "observer",
        MODULE,
        "from typing import Any\n",
        "from typing import Any\nimport sqlite3\n",
        "nothing in a database",
        "context.store",
    ),
    "network": (
        "admission",
        MODULE,
        "from dataclasses",
        "import httpx\nfrom dataclasses",
        "wait for a network",
        "jobs()",
    ),
    "one text": ("format", MODULE, "return [MEDIA_TYPE]", 'return "text/x"', "not one text", "[...]"),
    "generator": (
        "format",
        MODULE,
        "return [Layer(blob.descriptor.digest",
        "yield from [Layer(blob.descriptor.digest",
        "not a generator",
        "list",
    ),
    "no parser": (
        "format",
        MODULE,
        "@hookimpl\ndef parse_manifest",
        "\ndef _parse_manifest",
        "no use without parse_manifest",
        "implement",
    ),
    "json.loads": ("format", MODULE, "decode_object(payload)", "json.loads(payload)", "two readers", "decode_object"),
    "wrong error": (
        "admission",
        MODULE,
        'raise Denied(f"',
        'raise PermissionError(f"',
        "failure of the plugin",
        "Denied",
    ),
    "wrong error of a label": (
        "label-action",
        MODULE,
        "raise LabelValueRefused(",
        "raise ValueError(",
        "failure of the plugin",
        "LabelValueRefused",
    ),
    "a boolean for who it is": (
        "login",
        MODULE,
        "        return None\n",
        "        return False\n",
        "an Identity, not False",
        "return Identity(name)",
    ),
    "a password in the log": (
        "login",
        MODULE,
        "    shown = hashed(",
        '    context.log.info("%s shows %s", credentials.name, credentials.password)\n    shown = hashed(',
        "belongs into no message",
        "leave it out",
    ),
    "a denial that is raised": (
        "denial",
        MODULE,
        "    return [_denial(",
        '    raise Denied("not today")\n    return [_denial(',
        "Denied counts as a failure",
        "Denial(reason)",
    ),
    "one answer for all": (
        "denial",
        MODULE,
        "    return [_denial(",
        "    return True\n    return [_denial(",
        "a list of Denial and None, not True",
        "for each request",
    ),
    "answers one by one": ("denial", MODULE, "return [_denial(", "yield from [_denial(", "not a generator", "list"),
    "a clock beside the request's": (
        "denial",
        MODULE,
        "    return [_denial(",
        "    now = datetime.now()\n    return [_denial(",
        "registry's time",
        "time of the request",
    ),
    "a network for a denial": (
        "denial",
        MODULE,
        "from dataclasses",
        "import httpx\nfrom dataclasses",
        "wait for a network",
        "jobs()",
    ),
    "not frozen": ("admission", MODULE, "@dataclass(frozen=True)", "@dataclass", "no frozen dataclass", "frozen=True"),
    "no default": (
        "admission",
        MODULE,
        "class Settings:\n",
        "class Settings:\n    team: str\n",
        "team has no default",
        "one",
    ),
    "settings made": ("admission", MODULE, "return Settings\n", "return Settings()\n", "the class itself", "()"),
    "clock": (
        "admission",
        MODULE,
        "label = context.settings.label",
        "label = str(datetime.now())",
        "registry's time",
        "context.clock",
    ),
}
"""What is broken by replacing a text: the finding is on that line, but for those of WHERE."""
WHERE = {
    "syntax": 0,
    "no mark": 0,
    "tryfirst": 0,
    "no API": None,
    "private module": 2,
    "database": 1,
    "no default": 1,
    "no parser": None,
    "not frozen": 1,
}


def test_there_are_twenty():
    assert len(MISTAKES) >= 20


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found_on_its_line(name, tmp_path, monkeypatch):
    monkeypatch.setattr(running.subprocess, "run", lambda *_, **__: pytest.fail("nothing is run before it is mended"))
    kind, file, old, new, problem, change = MISTAKES[name]
    line = package(tmp_path, kind, file, old, new)
    (found, *_) = [one for one in check(tmp_path)["findings"] if problem in one["problem"]]
    assert found["path"] == str(tmp_path / file)
    assert change in found["change"]
    if WHERE.get(name, 0) is not None:
        assert found["line"] == line + WHERE.get(name, 0)


# The contracts find these: they are in what the code does.
BEHAVIOUR = {
    "a type that is not looked at": (
        "format",
        'if not isinstance(document.get("title"), str):',
        'if not document["title"]:',
        "KeyError",
    ),
    "a value that is not looked at": (
        "label-action",
        "if _DAYS.fullmatch(value) is None:",
        "if not value:",
        "ValueError",
    ),
    "an error for a wrong password": (
        "login",
        ".get(credentials.name, _NOBODY)",
        "[credentials.name]",
        "authenticate raises KeyError",
    ),
    "answers that depend on each other": (
        "denial",
        "return [_denial(request, context.settings.frozen) for request in requests]",
        "return [Denial('one at a time') if len(requests) > 1 else None for _ in requests]",
        "together they are answered otherwise",
    ),
    "a label that is not there": (
        "admission",
        "if push.manifest.is_image and not push.labels.get(label):",
        'if not push.labels["x"]:',
        "failed instead",
    ),
}


@pytest.mark.needs_tools
@pytest.mark.parametrize("name", BEHAVIOUR)
def test_what_a_plugin_does_wrong_is_found(name, tmp_path):
    kind, old, new, problem = BEHAVIOUR[name]
    line = package(tmp_path, kind, MODULE, old, new)
    told = check(tmp_path)
    found = [one for one in told["findings"] if problem in one["problem"]]
    assert found, told
    assert all(one["path"].endswith(MODULE) for one in found)
    assert line in {one["line"] for one in found} or kind != "format"


@pytest.mark.needs_tools
@pytest.mark.parametrize("kind", ["format", "storage"])
def test_a_good_package_has_nothing_to_change(kind, tmp_path, monkeypatch):
    package(tmp_path, kind)
    monkeypatch.chdir(tmp_path)
    told = check(".")
    assert told["findings"] == []
    assert told["passed"] > 10


@pytest.mark.needs_tools
@pytest.mark.parametrize("name", ["expiry", "keep"])
def test_an_installed_plugin_is_checked_by_its_name(name):
    done = CliRunner().invoke(main, ["plugins", "check", name])
    assert "nothing to change" in done.output, done.output


@pytest.mark.parametrize(
    "module", [*ROOT.glob("plugins/*"), *ROOT.glob("examples/*/src/*")], ids=lambda path: path.name
)
def test_what_is_bundled_and_the_examples_have_nothing_to_change(module):
    files = files_of(module)
    assert [one for file in files for one in check_source(file, main=file == files[0])] == []


def test_a_folder_without_a_package_says_how_to_start(tmp_path):
    (found,) = check(tmp_path)["findings"]
    assert found["line"] == 0
    assert "plugins new" in found["change"]


def test_a_package_without_tests_or_readme_is_told(tmp_path):
    package(tmp_path, "format", PROJECT, 'readme = "README.md"\n', "")
    (tmp_path / TESTS).unlink()
    problems = [one["problem"] for one in check(tmp_path)["findings"]]
    assert problems == ["there is no README", "there are no tests"]


def test_what_is_neither_a_folder_nor_installed_says_so():
    done = CliRunner().invoke(main, ["plugins", "check", "expirey"])
    assert done.exit_code == 1
    assert "no installed plugin expirey: did you mean expiry?" in done.output


def test_findings_are_printed_for_people(tmp_path):
    line = package(tmp_path, "format", MODULE, "def manifest_media_types()", "def manifest_media_type()")
    done = CliRunner().invoke(main, ["plugins", "check", str(tmp_path)])
    assert f"{tmp_path / MODULE}:{line}: there is no hook manifest_media_type" in done.output
    assert "    did you mean manifest_media_types?" in done.output


def test_without_pytest_it_says_what_to_install(tmp_path, monkeypatch):
    package(tmp_path, "format")
    monkeypatch.setattr(running, "find_spec", lambda name: None)
    done = CliRunner().invoke(main, ["plugins", "check", str(tmp_path)])
    assert done.exit_code == 1
    assert "pip install 'moorage[testing]'" in done.output
