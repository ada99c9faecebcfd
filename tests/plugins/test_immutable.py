"""The plugin that makes tags immutable, alone."""

import pytest

import moorage_immutable
from registry.hooks import LabelValueRefused, ProtectTag


@pytest.mark.parametrize("value", ["true", "True", " TRUE\n"])
def test_true_protects(value):
    assert moorage_immutable.protect(value) == [ProtectTag()]


@pytest.mark.parametrize("value", ["", "false", "yes", "1", "truee", "\uff54rue", "[true]", "x" * 10_240])
def test_anything_else_is_refused_with_a_reason(value):
    with pytest.raises(LabelValueRefused, match="only true does") as refused:
        moorage_immutable.protect(value)
    assert len(str(refused.value)) < 200


def test_the_key():
    assert [action.key for action in moorage_immutable.label_actions()] == ["quay.immutable"]
