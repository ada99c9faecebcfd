"""Pages of docs/ that are made from code, so that they cannot tell anything else than it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scripts.docs import api, bundled, commands, events, hooks, plugin_api, settings

DOCS = Path(__file__).resolve().parents[2] / "docs"
GENERATED_FOLDERS = ("api", "cli", "hooks")
"""Folders of docs/ in which every page is generated."""


def pages() -> dict[str, str]:
    """Return the text of every generated page, by its path in docs/."""
    found = {
        "events.md": events.page(),
        "settings.md": settings.page(),
        "plugin-api.md": plugin_api.page(),
        "plugins/index.md": bundled.page(),
    }
    for module in (api, commands, hooks):
        found |= module.pages()
    return found


def superfluous(found: Iterable[str]) -> list[str]:
    """Return the pages that stand in folders of generated ones, and are none of ``found``."""
    there = {str(path.relative_to(DOCS)) for name in GENERATED_FOLDERS for path in (DOCS / name).glob("**/*.md")}
    return sorted(there.difference(found))
