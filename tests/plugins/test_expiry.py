"""The bundled expiry plugin, tested as any plugin can be: without a registry."""

from datetime import timedelta

import pytest

from moorage_expiry import KEYS, expire, label_actions
from registry.hooks import ExpireTag, LabelValueRefused

LONGEST = timedelta.max // timedelta(seconds=1) * timedelta(seconds=1)


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("1s", timedelta(seconds=1)),
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("007d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("0" * 5000 + "1d", timedelta(days=1)),
        ("999999999999d", LONGEST),
        ("9" * 5000 + "w", LONGEST),
    ],
)
def test_a_time_to_live_is_understood(value, after):
    assert expire(value) == [ExpireTag(after)]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0s",
        "000d",
        "-5d",
        "+5d",
        "1y",
        "1_0d",
        " 2w",
        "2w ",
        "2 w",
        "1.5d",
        "d",
        "5",
        "5D",
        "٣d",
        "1d\n",
        "🎉",
        '["1d"]',
    ],
)
def test_anything_else_is_refused_with_a_reason(value):
    with pytest.raises(LabelValueRefused, match="positive whole number"):
        expire(value)


def test_both_keys_act_alike():
    assert {action.key: action.effects("1d") for action in label_actions()} == {
        key: [ExpireTag(timedelta(days=1))] for key in KEYS
    }
