"""Tags that stay: ``quay.immutable=true`` on an image makes each of its tags immutable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from registry.hooks import Effect, LabelAction, LabelValueRefused, ProtectTag, hookimpl

MOORAGE_API = "1.1"
KEY = "quay.immutable"
_SHOWN = 64


def protect(value: str) -> Sequence[Effect]:
    """Return the protection that ``value`` asks for: ``true``, in any case and with blanks around it.

    Raises :class:`LabelValueRefused` for anything else.
    """
    if value.strip().lower() != "true":
        raise LabelValueRefused(f"{value[:_SHOWN]!r} makes nothing immutable: only true does")
    return [ProtectTag()]


@hookimpl
def label_actions() -> Iterable[LabelAction]:
    """Give the key its meaning."""
    return [LabelAction(KEY, protect)]
