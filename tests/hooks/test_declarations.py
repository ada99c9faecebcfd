"""What a plugin says of itself: the plugin API that it needs, and marks that mean nothing here."""

from types import ModuleType

import pytest

import registry.hooks
import registry.hooks.specs
from registry.hooks import API_VERSION, LabelAction, deprecations, hookimpl, manager
from registry.hooks.declarations import DeclarationRefused, needed_api
from registry.hooks.deprecations import Deprecation
from registry.hooks.manager import PluginError, create_plugin_manager
from tests.support.plugins import install, made_plugin

MAJOR, MINOR = map(int, API_VERSION.split("."))


def nothing():
    return []


def needing(version, name="note"):
    plugin = made_plugin(name, label_actions=nothing)
    plugin.MOORAGE_API = version
    return plugin


def status_of(plugin):
    found = create_plugin_manager([plugin])
    (status,) = [status for status in found.statuses if status.source == "argument"]
    assert found.manager.is_registered(plugin) is (status.state == "active")
    return status


@pytest.mark.parametrize("version", ["1.0", "1.1", API_VERSION])
def test_a_plugin_for_this_api_or_an_earlier_minor_of_it_is_loaded(version):
    status = status_of(needing(version))
    assert (status.state, status.api) == ("active", version)


def test_a_plugin_that_does_not_say_what_it_needs_is_taken_to_need_the_first():
    status = status_of(made_plugin("note", label_actions=nothing))
    assert (status.state, status.api) == ("active", "1.0")


def test_an_object_may_say_what_it_needs():
    class Note:
        MOORAGE_API = API_VERSION

        @hookimpl
        def label_actions(self):
            return []

    assert status_of(Note()).api == API_VERSION


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        (f"{MAJOR}.{MINOR + 1}", f"upgrade moorage to a version that offers {MAJOR}.{MINOR + 1}"),
        (f"{MAJOR + 1}.0", f"upgrade moorage to a version that offers {MAJOR + 1}.0"),
        ("one", f'MOORAGE_API is a text such as "{API_VERSION}"'),
        ("1", "MAJOR.MINOR"),
        ("1.2.3", "MAJOR.MINOR"),
        (1.2, "not 1.2"),
        (None, "not None"),
    ],
)
def test_one_that_needs_another_api_is_not_loaded_and_told_what_to_do(version, advice):
    status = status_of(needing(version))
    assert (status.state, status.hooks) == ("failed", ())
    assert advice in status.reason


def test_one_of_an_earlier_major_is_not_loaded_and_told_what_to_do():
    with pytest.raises(
        DeclarationRefused, match=r"written for plugin API 1\.1.*install a version of the plugin for 2\.x"
    ):
        needed_api(needing("1.1"), "2.3")


def test_a_too_new_plugin_is_refused_for_its_version_and_not_for_what_else_it_has():
    plugin = needing(f"{MAJOR}.{MINOR + 1}")
    plugin.hook_of_tomorrow = hookimpl(lambda: None)
    assert "needs plugin API" in status_of(plugin).reason


def test_a_required_plugin_that_needs_another_api_stops_the_start():
    with pytest.raises(PluginError, match=r"note: it needs plugin API 1\.99.*upgrade moorage"):
        create_plugin_manager([needing("1.99")], required=["note"])


@pytest.mark.parametrize("mark", ["wrapper", "hookwrapper", "tryfirst", "trylast"])
def test_marks_that_mean_nothing_here_are_refused_by_name(mark):
    plugin = ModuleType("note")

    def label_actions():
        yield

    plugin.label_actions = hookimpl(label_actions, **{mark: True})
    status = status_of(plugin)
    assert status.state == "failed"
    assert status.reason.startswith(f"label_actions is marked {mark}: ")


def test_a_hook_that_is_implemented_twice_is_refused():
    plugin = ModuleType("note")
    plugin.label_actions = hookimpl(nothing)
    plugin.more = hookimpl(lambda: [1], specname="label_actions")
    assert status_of(plugin).reason == "label_actions is implemented twice"


def test_an_optional_hook_that_this_api_does_not_have_is_left_alone():
    plugin = ModuleType("note")
    plugin.hook_of_tomorrow = hookimpl(lambda: None, optionalhook=True)
    assert status_of(plugin).state == "active"


@pytest.mark.parametrize(
    ("name", "uses"),
    [
        ("parse_manifest", {"parse_manifest": lambda payload: None}),
        ("parse_manifest.payload", {"parse_manifest": lambda payload: None}),
        ("LabelAction", {"label_actions": nothing}),
    ],
    ids=["hook", "argument", "name"],
)
def test_what_is_deprecated_is_told_with_its_replacement_and_its_end(monkeypatch, caplog, name, uses):
    monkeypatch.setattr(manager, "DEFAULT_PLUGINS", ())
    install(monkeypatch)
    monkeypatch.setattr(deprecations, "DEPRECATIONS", (Deprecation(name, "1.3", "use the other one", "2.0"),))
    plugin = made_plugin("note", **uses)
    if name in registry.hooks.__all__:
        plugin.Action = LabelAction
    with pytest.warns(DeprecationWarning, match="plugin note: ") as warned:
        status = status_of(plugin)
    text = f"{name} is deprecated since plugin API 1.3, and 2.0 removes it: use the other one"
    assert status.deprecated == (text,)
    assert str(warned[0].message) == f"plugin note: {text}"
    assert text in caplog.text
    other = made_plugin("other", parse_manifest=lambda media_type: None)
    monkeypatch.setattr(deprecations, "DEPRECATIONS", (Deprecation("parse_manifest.payload", "1.3", "x", "2.0"),))
    assert status_of(other).deprecated == ()


def test_nothing_is_deprecated_that_is_not_there():
    names = {*registry.hooks.__all__, *vars(registry.hooks.specs)}
    assert {one.name.partition(".")[0] for one in deprecations.DEPRECATIONS} <= names
