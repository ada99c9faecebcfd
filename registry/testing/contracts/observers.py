"""What every observer must do.

::

    class TestAnnounce(ObserverContract):
        plugin = moorage_announce
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from registry.hooks import Event, PluginContext
from registry.testing.client import RegistryClient
from registry.testing.events import EVENT_TYPES, event
from registry.testing.hooks import Implementations
from registry.testing.images import simple_image

__all__ = ["ObserverContract"]

_REPOSITORY = "contract/observer"


class ObserverContract:
    """Subclass it, and name the ``plugin``; its ``settings`` where it needs some."""

    plugin: object
    """The module, or object, that implements ``event_happened``."""
    settings: Mapping[str, Any] = {}
    """What ``[plugins.NAME]`` of the configuration file holds."""

    @pytest.fixture
    def moorage_plugins(self) -> Sequence[object]:
        """Return what the registry of these tests has."""
        return [self.plugin]

    @pytest.fixture
    def moorage_settings(self) -> Mapping[str, Any]:
        """Return what the registry of these tests is told."""
        return plugin_settings(self.plugin, self.settings)

    @pytest.fixture
    def context(self, moorage_context: PluginContext) -> PluginContext:
        """Return what the plugin is handed: the registry of the test."""
        return moorage_context

    @pytest.fixture
    def events(self, moorage_client: RegistryClient) -> Sequence[Event]:
        """Return events of every type: about what is there, about what is gone by now, and one of a type to come."""
        pushed = moorage_client.push(_REPOSITORY, simple_image("a"), "v1")
        known = [
            event(kind, repository, subject)
            for kind in (*EVENT_TYPES, "org.moorage.label.promote")
            for repository in (_REPOSITORY, "contract/gone")
            for subject in ("v1", "gone", pushed.digest)
        ]
        return [*known, event("org.moorage.something.new", "", "", {})]

    def test_it_hears(self) -> None:
        """An observer implements ``event_happened``."""
        hooks = Implementations(self.plugin).hooks
        assert "event_happened" in hooks, f"it implements {', '.join(hooks)}, and not event_happened"

    def test_every_event_is_taken(self, events: Sequence[Event], context: PluginContext) -> None:
        """``event_happened`` returns None for events of every type, also of types to come and of what is gone by now.

        What it raises means "not yet": the event is told again, and in the end put aside as a dead letter.
        """
        for one in events:
            self._tell(one, context)

    def test_an_event_may_be_told_again(self, events: Sequence[Event], context: PluginContext) -> None:
        """Events are told at least once: the same one again, with the same ``id``, is no failure."""
        for one in events:
            for _ in range(2):
                self._tell(one, context)

    def _tell(self, one: Event, context: PluginContext) -> None:
        """Tell each of its consumers, or where it names none, the plugin as a whole."""
        implementations = Implementations(self.plugin)
        named: Any = implementations.call("event_consumers", context=context)
        consumers = [""] if named is None else list(named)
        if not consumers:
            pytest.fail("event_consumers names nobody: give settings with which it does")
        for consumer in consumers:
            try:
                answer = implementations.call("event_happened", event=one, consumer=consumer, context=context)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                about = f"{one.type} of {one.repository or 'no repository'}, about {one.subject or 'nothing'}"
                hearer = f", for {consumer}" if consumer else ""
                pytest.fail(f"{about}{hearer}: event_happened raises {type(error).__name__}: {error}")
            assert answer is None, f"{one.type}: event_happened returns nothing, not {answer!r}"


def plugin_settings(plugin: object, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the registry's settings that hold those of one plugin."""
    return {"plugins": {Implementations(plugin).name: dict(settings)}} if settings else {}
