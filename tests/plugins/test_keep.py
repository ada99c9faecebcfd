"""The plugin that keeps the newest tags, alone."""

import pytest

import moorage_keep
from registry.hooks import KeepLast, LabelValueRefused


@pytest.mark.parametrize(("value", "count"), [("1", 1), ("05", 5), ("1000000", 1_000_000)])
def test_a_number_keeps_as_many(value, count):
    assert moorage_keep.keep(value) == [KeepLast(count)]


@pytest.mark.parametrize("value", ["", "0", "-1", " 5", "5 ", "1_0", "1.5", "five", "1000001", "\u0665", "9" * 10_240])
def test_anything_else_is_refused_with_a_reason(value):
    with pytest.raises(LabelValueRefused, match="no number of tags") as refused:
        moorage_keep.keep(value)
    assert len(str(refused.value)) < 200


def test_the_key():
    assert [action.key for action in moorage_keep.label_actions()] == ["org.moorage.keep-last"]
