"""Hearing of events through the hooks: what a plugin is told, and what it is not allowed to answer."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from registry.events.observers import Observers
from registry.hooks import Event, hookimpl
from registry.hooks.calls import PluginBroke
from registry.hooks.facade import Hooks
from registry.hooks.manager import create_plugin_manager

EVENT = Event("e" * 32, 7, "org.moorage.tag.changed", datetime(2026, 1, 2, tzinfo=UTC), "a/b", "v1", "me", {"n": 1})


def observers(plugin):
    manager = create_plugin_manager([plugin], blocked=["webhooks"]).manager  # it has consumers of its own
    return Observers(Hooks(manager).calls, lambda name: SimpleNamespace(plugin=name))


class Hearing:
    def __init__(self):
        self.heard = []

    @hookimpl
    def event_happened(self, event, context):
        self.heard.append((event, context.plugin))


def test_event_happened_is_told_the_event_and_what_the_plugin_works_with():
    plugin = Hearing()
    found = observers(plugin)
    assert found.names() == {"Hearing": ["Hearing"]}
    found.tell("Hearing", EVENT)
    assert plugin.heard == [(EVENT, "Hearing")]


def test_event_happened_that_fails_names_its_plugin():
    class Failing:
        @hookimpl
        def event_happened(self, event):
            raise SystemExit(3)

    with pytest.raises(PluginBroke, match="plugin Failing failed in event_happened: SystemExit: 3"):
        observers(Failing()).tell("Failing", EVENT)


def dividing(answer):
    class Dividing:
        def __init__(self):
            self.heard = []

        @hookimpl
        def event_consumers(self):
            return answer

        @hookimpl
        def event_happened(self, event, consumer):
            self.heard.append(consumer)

    return Dividing()


def test_event_consumers_are_told_each_by_its_name():
    plugin = dividing(iter(["b", "a.1", "b"]))
    found = observers(plugin)
    assert found.names() == {"Dividing": ["Dividing/b", "Dividing/a.1"]}
    found.tell("Dividing/a.1", EVENT)
    assert plugin.heard == ["a.1"]


@pytest.mark.parametrize(
    ("answer", "names"), [(None, []), ([], []), ("ab", None), ([7], None), (["a/b"], None), (3, None)]
)
def test_event_consumers_that_are_none_stay_as_they_were(answer, names):
    assert observers(dividing(answer)).names() == {"Dividing": names}


def test_an_event_is_a_cloudevent():
    assert EVENT.as_cloudevent("https://r.example") == {
        "specversion": "1.0",
        "id": "e" * 32,
        "source": "https://r.example/api/v1/repositories/a/b",
        "type": "org.moorage.tag.changed",
        "time": "2026-01-02T00:00:00.000Z",
        "subject": "v1",
        "datacontenttype": "application/json",
        "repository": "a/b",
        "actor": "me",
        "sequence": "0000000000000007",
        "data": {"n": 1},
    }
