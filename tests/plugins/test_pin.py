"""The plugin that pins manifests, alone."""

import pytest

import moorage_pin
from registry.hooks import LabelValueRefused, Pin


@pytest.mark.parametrize("value", ["true", "True", " TRUE\n"])
def test_true_pins(value):
    assert moorage_pin.pin(value) == [Pin()]


@pytest.mark.parametrize("value", ["", "false", "yes", "1", "truee", "📌", "x" * 10_240])
def test_anything_else_is_refused_with_a_reason(value):
    with pytest.raises(LabelValueRefused, match="only true does") as refused:
        moorage_pin.pin(value)
    assert len(str(refused.value)) < 200


def test_the_key():
    assert [action.key for action in moorage_pin.label_actions()] == ["org.moorage.pin"]
