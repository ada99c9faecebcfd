"""The newest few: ``org.moorage.keep-last=5`` keeps five tags of the images that carry it, and ends older ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from registry.hooks import Effect, KeepLast, LabelAction, LabelValueRefused, hookimpl

MOORAGE_API = "1.1"
KEY = "org.moorage.keep-last"
MOST = 1_000_000
_VALUE = re.compile(r"[0-9]{1,7}")
_SHOWN = 64


def keep(value: str) -> Sequence[Effect]:
    """Return the count that ``value`` asks for: a whole number from 1 to a million.

    Raises :class:`LabelValueRefused` for anything else.
    """
    if _VALUE.fullmatch(value) is None or not 1 <= int(value) <= MOST:
        raise LabelValueRefused(f"{value[:_SHOWN]!r} is no number of tags: use a whole number from 1 to {MOST}")
    return [KeepLast(int(value))]


@hookimpl
def label_actions() -> Iterable[LabelAction]:
    """Give the key its meaning."""
    return [LabelAction(KEY, keep)]
