"""Tags that end by themselves: ``quay.expires-after=2w`` on an image ends each of its tags after two weeks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from registry.hooks import Effect, ExpireTag, LabelAction, LabelValueRefused, hookimpl

MOORAGE_API = "1.0"
KEYS = ("quay.expires-after", "org.moorage.expires-after")

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_VALUE = re.compile(r"([0-9]+)([smhdw])")
_LONGEST = timedelta.max // timedelta(seconds=1)
_SHOWN = 64


def expire(value: str) -> Sequence[Effect]:
    """Return the expiry that ``value`` asks for: a positive whole number and one of ``s m h d w``.

    Raises :class:`LabelValueRefused` for anything else. How long a tag may live at most is the registry's own to say.
    """
    match = _VALUE.fullmatch(value)
    number = match[1].lstrip("0") if match else ""
    if match is None or not number:
        raise LabelValueRefused(
            f"{value[:_SHOWN]!r} is no time to live: use a positive whole number and one of s, m, h, d, w (30d)"
        )
    seconds = int(number[:_SHOWN]) * _SECONDS[match[2]]
    return [ExpireTag(timedelta(seconds=min(seconds, _LONGEST)))]


@hookimpl
def label_actions() -> Iterable[LabelAction]:
    """Give both keys the same meaning."""
    return [LabelAction(key, expire) for key in KEYS]
