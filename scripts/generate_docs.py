"""Write the pages of docs/ that repeat code: the hook catalogue and the settings.

``python scripts/generate_docs.py`` writes them; ``--check`` only tells whether they are up to date.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from textwrap import dedent

from registry.hooks import specs
from registry.settings import Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"


def hook_catalogue() -> str:
    """Return ``docs/hooks.md``: every hook with its contract and its example plugin."""
    head = dedent(inspect.getdoc(specs) or "").partition("\n\n")[2]
    pages = [_hook(name, function) for name, function in vars(specs).items() if hasattr(function, "moorage_spec")]
    return "\n".join(["# Hooks", "", "Generated from `registry/hooks/specs.py`.", "", _markdown(head), *pages])


def settings_page() -> str:
    """Return ``docs/settings.md``: every setting with its variable, default and meaning."""
    rows = [
        f"| `{item.name}` | `{item.variable}` | {_cell(item.default)} | {item.help} |" for item in Settings().describe()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            "Generated from `registry/settings.py`. Flags of `moorage serve` win over variables, those over the TOML",
            "file (`--config`, `MOORAGE_CONFIG`, or `moorage.toml` in the working directory), that over the defaults.",
            "`moorage config show` prints what is in force and where it came from.",
            "",
            "| TOML | variable | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            'Options of a storage driver are a table named after its scheme: `[s3] endpoint_url = "…"` or',
            "`MOORAGE_S3_ENDPOINT_URL`.",
            "",
        ]
    )


def _hook(name: str, function: object) -> str:
    text = inspect.getdoc(function) or ""
    prose, _, example = text.partition("::\n")
    signature = inspect.signature(function)  # type: ignore[arg-type] # every specification is a function
    code = dedent(example).strip("\n")
    lead = _markdown(prose).rstrip(".:")
    return f"## {name}\n\n```python\n{name}{signature}\n```\n\n{lead}:\n\n```python\n{code}\n```\n"


def _markdown(text: str) -> str:
    text = text.replace("``", "`")
    for role in ("class", "func", "data", "meth", "mod"):
        text = text.replace(f":{role}:`~registry.hooks.", "`").replace(f":{role}:`", "`")
    before, colons, after = text.partition("::\n")
    if colons:
        return f"{before}:\n\n```toml\n{dedent(after).strip()}\n```\n"
    return text.strip()


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "" if value in ("", None, []) else f"`{value}`"


PAGES = {"hooks.md": hook_catalogue, "settings.md": settings_page}


def main() -> int:
    """Write or check the pages; the exit code is 1 where ``--check`` finds one out of date."""
    stale = [name for name, make in PAGES.items() if not _same(DOCS / name, make())]
    if "--check" not in sys.argv:
        for name in stale:
            (DOCS / name).write_text(PAGES[name]())
            print(f"wrote docs/{name}")  # noqa: T201 - a script tells what it did
        return 0
    for name in stale:
        print(f"docs/{name} is out of date: run scripts/generate_docs.py")  # noqa: T201 - the same
    return 1 if stale else 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
