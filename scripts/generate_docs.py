"""Write the pages of docs/ that repeat code: hooks, the plugin API, settings, commands, the API, bundled plugins.

``python scripts/generate_docs.py`` writes them; ``--check`` only tells whether they are up to date.
"""

from __future__ import annotations

import sys

from scripts.docs import DOCS, pages, superfluous


def main() -> int:
    """Write or check the pages; the exit code is 1 where ``--check`` finds one out of date."""
    found = pages()
    stale = [name for name, text in found.items() if not _same(name, text)]
    gone = superfluous(found)
    if "--check" in sys.argv:
        for name in (*stale, *gone):
            print(f"docs/{name} is out of date: run scripts/generate_docs.py")
        return 1 if stale or gone else 0
    for name in stale:
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(found[name])
        print(f"wrote docs/{name}")
    for name in gone:
        (DOCS / name).unlink()
        print(f"removed docs/{name}")
    return 0


def _same(name: str, text: str) -> bool:
    path = DOCS / name
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
