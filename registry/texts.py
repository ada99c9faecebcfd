"""Words that plugins and clients chose, as they can be stored, logged and shown."""

from __future__ import annotations

MOST = 1000
"""How many characters are shown."""


def readable(text: str, most: int = MOST) -> str:
    """Return a text bounded to ``most`` characters, on one line, and free of NUL and other controls."""
    shown = text if len(text) <= most else text[:most] + "\u2026"
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in shown)
