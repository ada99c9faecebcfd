"""Finding plugins, and telling what became of each."""

import importlib.metadata
import logging
from functools import partial
from types import ModuleType, SimpleNamespace

import pytest

from registry.hooks import hookimpl, manager
from registry.hooks.manager import DEFAULT_PLUGINS, PluginError, create_plugin_manager
from tests.support.plugins import install


def nothing():
    return []


def statuses(*plugins: object, **options: object) -> dict[str, manager.PluginStatus]:
    return {status.name: status for status in create_plugin_manager(plugins, **options).statuses}


@pytest.fixture
def installed(monkeypatch):
    """Replace what is installed by entry points of the test's own."""

    return partial(install, monkeypatch)


def given(**functions: object) -> ModuleType:
    made = ModuleType("given")
    vars(made).update(functions)
    return made


def module(**functions: object) -> ModuleType:
    made = ModuleType("made")
    vars(made).update({name: hookimpl(function) for name, function in functions.items()})
    return made


def test_the_built_in_plugins_come_by_the_same_list():
    found = statuses()
    built_in = [status for status in found.values() if status.source == "built-in"]
    assert [status.name for status in built_in] == [path.rpartition(".")[2] for path in DEFAULT_PLUGINS]
    assert {status.state for status in built_in} == {"active"}
    assert found["oci_index"].hooks == (
        "convert_manifest",
        "manifest_labels",
        "manifest_media_types",
        "parse_manifest",
    )


def test_the_bundled_plugin_is_found_by_its_entry_point():
    found = statuses()["expiry"]
    version = importlib.metadata.version("moorage")
    assert (found.source, found.state, found.distribution) == ("entry point", "active", "moorage")
    assert (found.version, found.hooks) == (version, ("label_actions",))


def test_order_is_built_in_then_installed_by_name_then_arguments(installed):
    installed(zebra=module(label_actions=nothing), apple=module(label_actions=nothing))
    argument = given(label_actions=hookimpl(nothing))
    assert list(statuses(argument))[len(DEFAULT_PLUGINS) :] == ["apple", "zebra", "given"]


def test_an_argument_plugin_is_named_after_itself():
    class Note:
        @hookimpl
        def label_actions(self):
            return []

    found = statuses(Note(), given(label_actions=hookimpl(nothing)))
    assert {name: found[name].source for name in ("Note", "given")} == {"Note": "argument", "given": "argument"}


@pytest.mark.parametrize("name", ["schema1", "expiry", "given"])
def test_a_blocked_plugin_is_shown_and_not_loaded(name):
    argument = given(label_actions=hookimpl(nothing))
    found = create_plugin_manager([argument], blocked=[name])
    (status,) = [status for status in found.statuses if status.name == name]
    assert (status.state, status.hooks) == ("blocked", ())
    assert "blocked_plugins" in status.reason
    assert found.manager.get_plugin(name) is None


def test_one_that_fails_to_import_is_reported_and_the_others_work(installed, caplog):
    installed(broken=None, fine=module(label_actions=nothing))
    with caplog.at_level(logging.ERROR):
        found = statuses()
    assert found["broken"].state == "failed"
    assert found["broken"].reason == "ModuleNotFoundError: No module named 'moorage_of_this_test_broken'"
    assert found["fine"].state == "active"
    assert "plugin broken" in caplog.text


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (given(manifest_media_typos=hookimpl(nothing)), "manifest_media_typos"),
        (given(parse_manifest=hookimpl(lambda payload, flavour: None)), "flavour"),
    ],
    ids=["unknown hook", "unknown argument"],
)
def test_what_the_contract_does_not_have_is_refused_by_name(plugin, reason):
    found = create_plugin_manager([plugin])
    (status,) = [status for status in found.statuses if status.name == "given"]
    assert status.state == "failed"
    assert reason in status.reason
    assert not found.manager.is_registered(plugin)
    found.manager.check_pending()


def test_an_argument_may_leave_out_what_it_does_not_use():
    plugin = given(parse_manifest=hookimpl(lambda payload: None))
    assert statuses(plugin)["given"].state == "active"


@pytest.mark.parametrize(
    ("required", "blocked", "reason"),
    [
        ("absent", (), "absent: not installed"),
        ("expiry", ("expiry",), "expiry: listed in blocked_plugins"),
        ("broken", (), "broken: ModuleNotFoundError"),
    ],
)
def test_a_required_plugin_that_is_not_active_stops_the_start(installed, required, blocked, reason):
    installed(broken=None, expiry=module(label_actions=nothing))
    with pytest.raises(PluginError, match=reason):
        create_plugin_manager(blocked=blocked, required=[required])


def test_a_required_plugin_that_is_active_is_fine():
    assert statuses(required=["expiry", "schema2"])["expiry"].state == "active"


def test_a_plugin_that_is_installed_and_given_as_well_stays_loaded_once():
    import moorage_expiry

    found = create_plugin_manager([moorage_expiry])
    assert found.manager.get_plugin("expiry") is moorage_expiry
    twice = [status for status in found.statuses if status.name in ("expiry", "moorage_expiry")]
    assert [(status.state, status.reason) for status in twice] == [
        ("active", ""),
        ("failed", "already loaded as expiry"),
    ]


def test_two_plugins_of_one_name_are_told_apart_by_their_reason():
    first, second = (given(label_actions=hookimpl(nothing)) for _ in range(2))
    found = create_plugin_manager([first, second])
    assert found.manager.get_plugin("given") is first
    assert [status.state for status in found.statuses if status.name == "given"] == ["active", "failed"]


def test_an_object_that_no_set_can_hold_is_reported():
    found = statuses(SimpleNamespace(__name__="given", label_actions=hookimpl(nothing)))
    assert found["given"].reason == "TypeError: unhashable type: 'types.SimpleNamespace'"
