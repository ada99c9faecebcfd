"""What every label action must do.

::

    class TestStage(LabelActionContract):
        plugin = moorage_stage
        understood = {("org.example.stage", "nightly"): [ExpireTag(timedelta(days=1))]}
        refused = [("org.example.stage", "weekly")]
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import pytest

from registry.hooks import (
    Effect,
    EmitEvent,
    ExpireTag,
    KeepLast,
    LabelAction,
    LabelValueRefused,
    Pin,
    ProtectTag,
)
from registry.testing.client import RegistryClient
from registry.testing.contracts import hostile
from registry.testing.hooks import Implementations
from registry.testing.images import Manifest, image, layer

__all__ = ["Label", "LabelActionContract"]

Label = tuple[str, str]
"""A label's key and value."""

_EFFECTS = (ExpireTag, ProtectTag, KeepLast, Pin, EmitEvent)
_EVENT = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_LONGEST_REASON, _LONGEST_KEY, _MOST_DATA = 1000, 255, 64 * 1024
_REPOSITORY = "contract/label"


class LabelActionContract:
    """Subclass it, and name the ``plugin``, what its labels do, and values that it refuses."""

    plugin: object
    """The module, or object, that implements ``label_actions``."""
    understood: Mapping[Label, Sequence[Effect]]
    """What some labels make happen."""
    refused: Sequence[Label]
    """Labels whose value means nothing to the action; empty where any text means something to all of them."""

    @pytest.fixture
    def moorage_plugins(self) -> Sequence[object]:
        """Return what the registry of these tests has."""
        return [self.plugin]

    @pytest.fixture
    def actions(self) -> Mapping[str, LabelAction]:
        """Return the plugin's actions by label."""
        found = Implementations(self.plugin).call("label_actions")
        assert isinstance(found, Iterable), f"label_actions returns a list of LabelAction, not {found!r}"
        actions = list(found)
        for action in actions:
            assert isinstance(action, LabelAction), f"label_actions returns a list of LabelAction, not of {action!r}"
        keys = [action.key for action in actions]
        assert len(keys) == len(set(keys)), f"a label has two actions: {sorted(keys)}"
        return dict(zip(keys, actions, strict=True))

    def test_it_names_its_labels(self, actions: Mapping[str, LabelAction]) -> None:
        """``label_actions`` returns LabelActions, one a label; a label's key is 255 printable characters at most."""
        assert actions, "a label action acts on one label at least"
        for key in actions:
            assert isinstance(key, str), f"{key!r} is no text"
            assert 0 < len(key) <= _LONGEST_KEY, f"a key of {len(key)} characters"
            assert key.isprintable(), f"{key!r} cannot be printed"

    def test_there_are_examples(self, actions: Mapping[str, LabelAction]) -> None:
        """``understood`` and ``refused`` hold labels that the plugin acts on; ``refused`` one, if it refuses any."""
        assert self.understood, "give labels that are understood, with their effects"
        if not self.refused:
            for key, action in actions.items():
                _assert_understands_any_text(key, action)
        for key, _ in (*self.understood, *self.refused):
            assert key in actions, f"the plugin has no action for {key}"

    def test_understood_values_have_their_effects(self, actions: Mapping[str, LabelAction]) -> None:
        """``effects`` returns what the examples say, each time."""
        for (key, value), wanted in self.understood.items():
            for _ in range(2):
                found = list(actions[key].effects(value))
                assert found == list(wanted), f"{key}={value} does {found}"
            _assert_effects(key, value, wanted)

    def test_other_values_are_refused_with_a_reason(self, actions: Mapping[str, LabelAction]) -> None:
        """``effects`` raises LabelValueRefused with a sentence that people read beside the label."""
        for key, value in self.refused:
            try:
                found = actions[key].effects(value)
            except LabelValueRefused as refused:
                reason = str(refused)
            else:
                pytest.fail(f"{key}={value} is understood: {found}")
            assert reason, f"{key}={value}: say what values are understood"
            assert len(reason) < _LONGEST_REASON, f"{key}={value}: a long value makes a long reason: cut it"

    def test_any_text_is_understood_or_refused(self, actions: Mapping[str, LabelAction]) -> None:
        """Whatever text comes, ``effects`` returns Effects or raises LabelValueRefused, nothing else."""
        for key, action in actions.items():
            for value in hostile.texts():
                shown = ascii(value[:40])
                try:
                    found = action.effects(value)
                except LabelValueRefused as refused:
                    reason = str(refused)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                    pytest.fail(f"{key}={shown}: raises {type(error).__name__}: {error}")
                else:
                    reason = ""
                    _assert_effects(key, shown, found)
                assert len(reason) < _LONGEST_REASON, f"{key}={shown}: a long value makes a long reason: cut it"

    def test_a_registry_does_it(self, moorage_client: RegistryClient) -> None:
        """An image that carries the label is taken, and the label is stored without a warning."""
        for number, (key, value) in enumerate(self.understood):
            pushed = moorage_client.push(_REPOSITORY, _image(key, value), f"v{number}")
            warning = moorage_client.labels(_REPOSITORY, pushed.digest)[key]["warning"]
            assert not warning, f"{key}={value}: {warning}"

    def test_a_registry_takes_what_is_refused_and_shows_the_reason(self, moorage_client: RegistryClient) -> None:
        """A refused value does not refuse the push: the tag is made, and the reason is shown beside the label."""
        for number, (key, value) in enumerate(self.refused):
            pushed = moorage_client.push(_REPOSITORY, _image(key, value), f"v{number}")
            assert moorage_client.digest(_REPOSITORY, f"v{number}") == pushed.digest
            assert moorage_client.labels(_REPOSITORY, pushed.digest)[key]["warning"], f"{key}={value}: no warning"


def _assert_understands_any_text(key: str, action: LabelAction) -> None:
    for value in hostile.texts():
        try:
            action.effects(value)
        except LabelValueRefused:
            pytest.fail(f"{key}={value[:40]!a} is refused: give labels whose values are refused")


def _image(key: str, value: str) -> Manifest:
    return image(layer({"a": b"1"}), labels={key: value})


def _assert_effects(key: str, value: str, effects: object) -> None:
    assert isinstance(effects, Sequence), f"{key}={value}: effects returns a list, not {effects!r}"
    for effect in effects:
        assert isinstance(effect, _EFFECTS), f"{key}={value}: {effect!r} is no Effect"
        match effect:
            case ExpireTag(after):
                assert isinstance(after, timedelta), f"{key}={value}: ExpireTag takes a timedelta, not {after!r}"
                assert after > timedelta(), f"{key}={value}: a tag lives for some time at least, not {after}"
            case KeepLast(count):
                assert isinstance(count, int), f"{key}={value}: KeepLast takes a number, not {count!r}"
                assert count >= 1, f"{key}={value}: one tag is kept at least, not {count}"
            case EmitEvent(name, data):
                assert _EVENT.fullmatch(name), f"{key}={value}: {name!r}: lower-case words joined by dots and dashes"
                assert len(json.dumps(dict(data))) <= _MOST_DATA, f"{key}={value}: data is 64 KiB of JSON at most"
