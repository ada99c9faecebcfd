"""Images that stay without a tag: ``org.moorage.pin=true`` keeps a manifest for as long as it has the label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from registry.hooks import Effect, LabelAction, LabelValueRefused, Pin, hookimpl

MOORAGE_API = "1.1"
KEY = "org.moorage.pin"
_SHOWN = 64


def pin(value: str) -> Sequence[Effect]:
    """Return the pin that ``value`` asks for: ``true``, in any case and with blanks around it.

    Raises :class:`LabelValueRefused` for anything else.
    """
    if value.strip().lower() != "true":
        raise LabelValueRefused(f"{value[:_SHOWN]!r} pins nothing: only true does")
    return [Pin()]


@hookimpl
def label_actions() -> Iterable[LabelAction]:
    """Give the key its meaning."""
    return [LabelAction(KEY, pin)]
