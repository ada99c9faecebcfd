"""The table of the types of events in docs/events.md, from ``registry/events/types.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from registry.events.types import TYPES, label_event

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "events.md"
_TYPES = "<!-- types: generated from registry/events/types.py by scripts/generate_docs.py -->"
_END_OF_TYPES = "<!-- end of types -->"


def page() -> str:
    """Return ``docs/events.md`` with the table of the types of events."""
    head, _, rest = _PAGE.read_text().partition(_TYPES)
    table = "\n".join(_event_types())
    return f"{head}{_TYPES}\n\n{table}\n\n{_END_OF_TYPES}{rest.partition(_END_OF_TYPES)[2]}"


def _event_types() -> Iterator[str]:
    yield from ("| type | what happened | `subject` | `data` |", "|---|---|---|---|")
    for kind in (*TYPES, label_event("NAME")):
        fields = "; ".join(f"`{name}`: {about}" for name, about in kind.data.items())
        yield f"| `{kind.name}` | {kind.about} | {kind.subject} | {fields} |"
