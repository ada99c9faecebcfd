"""Tags that end by themselves: ``quay.expires-after=2w`` on an image ends each of its tags after two weeks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from registry.hooks import Effect, ExpireTag, LabelAction, LabelValueRefused, hookimpl

KEYS = ("quay.expires-after", "org.moorage.expires-after")

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_VALUE = re.compile(r"([0-9]+)([smhdw])")
_LONGEST = timedelta(days=36_500)
_SHOWN = 64


def expire(value: str) -> Sequence[Effect]:
    """Return the expiry that ``value`` asks for: a positive whole number and one of ``s m h d w``.

    Raises :class:`LabelValueRefused` for anything else; beyond a hundred years it is a hundred years.
    """
    match = _VALUE.fullmatch(value)
    if match is None or not match[1].strip("0"):
        raise LabelValueRefused(
            f"{value[:_SHOWN]!r} is no time to live: use a positive whole number and one of s, m, h, d, w (30d)"
        )
    seconds = float(match[1][:_SHOWN]) * _SECONDS[match[2]]
    return [ExpireTag(min(timedelta(seconds=min(seconds, _LONGEST.total_seconds())), _LONGEST))]


@hookimpl
def label_actions() -> Iterable[LabelAction]:
    """Give both keys the same meaning."""
    return [LabelAction(key, expire) for key in KEYS]
