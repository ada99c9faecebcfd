"""Plugins that go wrong while they are asked what they add: the registry starts, and serves what is healthy."""

from collections.abc import Callable, Mapping

import pytest

from registry.hooks.manager import FAILED, PluginError
from registry.testing.images import simple_image

pytestmark = pytest.mark.needs_tools  # it needs none, but takes long: an app for each hook and way

IMAGE = simple_image("healthy")
DECIDING = ("manifest_media_types", "label_actions", "storage_drivers", "artifact_types", "admission_hooks")
ADDING = ("jobs", "cli_commands", "blueprints", "event_consumers")
"""Hooks whose plugins only add something: where one fails, that is missing, and its other hooks go on."""


def exits() -> None:
    raise SystemExit(3)


def recurses() -> None:
    recurses()


WAYS: Mapping[str, Callable[[], object]] = {
    "raises": lambda: 1 / 0,
    "exits": exits,
    "recurses": recurses,
    "rubbish": lambda: 7,
    "rubbish in a list": lambda: [7],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hook", DECIDING)
def test_what_fails_in_a_claim_is_told_and_serves_on(with_plugins, make_plugin, hook, way):
    direct = with_plugins(make_plugin("bad", **{hook: WAYS[way]}))
    direct.push(IMAGE, "v1")
    assert direct.get("v1").payload == IMAGE.data
    (status,) = [status for status in direct.services.plugins if status.name == "bad"]
    assert status.state == FAILED
    assert status.reason.startswith(f"at the start it failed in {hook}: ")
    assert "bad failed to load" in direct.services.readiness()[-1].detail


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hook", ADDING)
def test_what_fails_in_an_addition_is_logged_and_serves_on(with_plugins, make_plugin, hook, way):
    plugin = make_plugin("bad", **{hook: WAYS[way], "event_happened": lambda: None})
    direct = with_plugins(plugin)
    direct.push(IMAGE, "v1")
    assert direct.get("v1").payload == IMAGE.data


@pytest.mark.parametrize("hook", [*DECIDING, *ADDING])
def test_what_hangs_at_the_start_is_given_up(with_plugins, make_plugin, released, hook):
    direct = with_plugins(make_plugin("bad", **{hook: lambda: released.wait(30)}), hook_deadline=0.05)
    direct.push(IMAGE, "v1")
    assert direct.get("v1").payload == IMAGE.data


@pytest.mark.parametrize("hook", DECIDING)
def test_who_is_required_and_fails_stops_the_start(with_plugins, make_plugin, hook):
    with pytest.raises(PluginError, match=f"bad: at the start it failed in {hook}"):
        with_plugins(make_plugin("bad", **{hook: lambda: 1 / 0}), required_plugins=("bad",))


def test_in_safe_mode_nothing_is_loaded_but_what_is_built_in(with_plugins, make_plugin):
    direct = with_plugins(make_plugin("extra", jobs=lambda: None), safe_mode=True, required_plugins=("extra",))
    states = {status.name: status.state for status in direct.services.plugins}
    assert (states["extra"], states["expiry"], states["oci_manifest"]) == ("blocked", "blocked", "active")
    assert direct.services.readiness()[-1].detail.startswith("safe mode")


def test_a_plugin_that_exits_at_import_is_skipped(with_plugins, monkeypatch):
    from importlib.metadata import EntryPoint

    from registry.hooks import manager

    class Exiting(EntryPoint):
        def load(self):
            raise SystemExit("out")

    installed = manager.entry_points(group="moorage")
    monkeypatch.setattr(manager, "entry_points", lambda group: [*installed, Exiting("gone", "gone", group)])
    (status,) = [one for one in with_plugins().services.plugins if one.name == "gone"]
    assert (status.state, status.reason) == (FAILED, "SystemExit: out")
