"""The list of bundled plugins, from the entry points and the packages themselves."""

from __future__ import annotations

import inspect
import tomllib
from importlib import import_module
from pathlib import Path

from scripts.docs.markdown import markdown

_ROOT = Path(__file__).resolve().parents[2]
_HEAD = """\
# Bundled plugins

These come with Moorage. Each is a package that a stranger could have written: it uses the [hooks](../hooks/index.md)
and nothing else, and is found through its entry point.

| plugin | what it does |
|---|---|
"""
_TAIL = """
`moorage plugins` lists these and all others that are installed, and says of one that is not active why:

```console
$ moorage plugins
...
expiry ...
...
```

A bundled plugin is switched off by its name, so that another may take its place. A plugin that must not be missing is
named as well: without it the server refuses to start.

```toml title="moorage.toml"
blocked_plugins = ["expiry"]
required_plugins = ["immutable"]
```

Further plugins are installed with `pip install` into Moorage's environment, and loaded when the server starts.
"""


def page() -> str:
    """Return ``docs/plugins/index.md``."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    rows = []
    for name, module in sorted(project["entry-points"]["moorage"].items()):
        first = (inspect.getdoc(import_module(module)) or "").partition("\n")[0]
        rows.append(f"| [`{name}`]({name}.md) | {markdown(first, lambda _: '')} |\n")
    return "".join([_HEAD, *rows, _TAIL])
