"""Of mkdocs.yml's navigation, entries that name a folder: they become the folder's pages (mkdocs calls this)."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:  # noqa: ANN401 - a configuration of mkdocs, which developers alone have installed
    """Put the pages in the place of their folders."""
    config["nav"] = expanded(config["nav"], Path(config["docs_dir"]))
    return config


def expanded(entry: Any, docs: Path) -> Any:  # noqa: ANN401 - what YAML holds
    """Return a part of the navigation with each folder (``"hooks/"``) replaced by its pages, the index first."""
    if isinstance(entry, list):
        return [expanded(one, docs) for one in entry]
    if isinstance(entry, dict):
        return {title: expanded(inner, docs) for title, inner in entry.items()}
    if not entry.endswith("/"):
        return entry
    pages = sorted(path.name for path in (docs / entry).glob("*.md"))
    index = [name for name in ("index.md", "README.md") if name in pages]
    return [f"{entry}{name}" for name in [*index, *(one for one in pages if one not in index)]]
