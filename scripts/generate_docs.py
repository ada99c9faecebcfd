"""Write the pages of docs/ that repeat code: the hook catalogue, the settings, the commands and the API.

``python scripts/generate_docs.py`` writes them; ``--check`` only tells whether they are up to date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import click
from flask import Flask

from registry import hooks, testing
from registry.app import API
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._operations import Operation, install, operations_of
from registry.cli import main as moorage
from registry.events.types import TYPES, label_event
from registry.hooks import specs
from registry.hooks.inventory import ATTRIBUTE, Inventory, take_inventory
from registry.settings import Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"
_WIDTH = 100
_API = """\
# The API

Generated from `registry/blueprints/api/`. A server describes itself in full, for programs, at
`/api/v1/openapi.json` (OpenAPI 3.1). The command line speaks this API and nothing else: whatever `moorage` does
([cli.md](cli.md)), a program can do, and the other way round.

```console
$ curl 'localhost:5000/api/v1/repositories?limit=100'
$ curl localhost:5000/api/v1/repositories/team/app
$ curl -X POST localhost:5000/api/v1/repositories -H 'Content-Type: application/json' \\
    -d '{"name": "team/app", "description": "The app"}'
$ curl -X PATCH localhost:5000/api/v1/repositories/team/app -H 'Content-Type: application/json' \\
    -H 'If-Match: "ed8916a12cee031353018b76cd70a256"' -d '{"recovery_seconds": 172800}'
$ curl -X DELETE localhost:5000/api/v1/repositories/team/app
$ curl -X POST localhost:5000/api/v1/repositories/team/app/-/undelete -H 'Content-Type: application/json' -d '{}'
```

- **Names.** A repository's name holds its slashes as they are; what is in it comes behind `/-/`.
- **Bodies** are JSON and say so (`Content-Type: application/json`); every POST has one, `{}` at least, so that no web
  page can send it from somebody's browser. Unknown fields and parameters are refused. 1 MiB at most.
- **Times** are RFC 3339 in UTC; durations are whole seconds.
- **Lists** come in pages: `{"items": [...], "next": "..."}`. Ask again with `cursor=` that text, until it is null.
  `limit` is capped by the setting `page_size_max`.
- **Changes without surprises.** An answer has an `ETag`. Where an operation takes `If-Match`, send that back: if
  somebody else was quicker, the answer is 412 and nothing was changed. With `If-None-Match: *` it
  is made only where nothing is there yet. On a GET, `If-None-Match` gives 304.
- **Errors** are problem details (RFC 9457, `application/problem+json`): `title`, `status` and `detail` for people,
  `code` and `context` for programs.

```json
{"type": "urn:moorage:problem:name-taken", "title": "the repository name is taken", "status": 409,
 "detail": "the repository name is taken", "code": "NAME_TAKEN", "context": {"name": "team/app"}}
```
"""
_PLUGIN_API = """\
# The plugin API

Generated from `registry/hooks/`. The plugin API has a version of its own, MAJOR.MINOR: this is VERSION. A minor version
only adds: hooks, names, arguments of hooks (an implementation leaves out what it does not use), fields and
parameters with a default (marked `=` here). So a plugin that was written for 1.x runs on every later 1.y.

A plugin says which version it needs, in its module or as an attribute of its object; without that, it is taken to need
1.0:

```python
MOORAGE_API = "VERSION"
```

A registry that offers less, or another major version, does not load the plugin, and says what to do: `moorage plugins`
shows it as failed, and the start is refused where the setting `required_plugins` names it. What is deprecated works
until the version that removes it; `moorage plugins show NAME` and the log tell who uses it, what replaces it, and when
it goes. Nothing is deprecated today. `CHANGELOG.md` notes every addition.

A plugin is asked on its own, whatever others are installed: `hookimpl` takes none of the marks `wrapper`,
`hookwrapper`, `tryfirst` and `trylast`, and one that has them is not loaded.
"""
_PLUGIN_SETTINGS = """\
## Settings of plugins

A plugin that has settings is set by the table `[plugins.NAME]`, and by variables that win over it:

```toml
[plugins.quota]
most = 3
types = ["application/vnd.oci.image.manifest.v1+json"]

[[plugins.quota.rules]]
repository = "team/*"
most = 10
```

```console
$ export MOORAGE_PLUGIN_QUOTA_MOST=5
$ export MOORAGE_PLUGIN_QUOTA_TYPES=application/vnd.oci.image.manifest.v1+json,text/plain
$ export MOORAGE_PLUGIN_QUOTA_RULES='[{"repository": "team/*", "most": 10}]'
```

- NAME is the plugin's name, as `moorage plugins` lists it; its case, dashes and underscores do not matter.
- In a variable, a list of texts has commas between; other lists, and tables, are JSON.
- `moorage config show` lists every setting of every plugin, with its value, where that came from and what it is.
  What has `secret`, `password`, `token` or `key` in its name is masked.
- `moorage config check` tells every unknown name and bad value at once, with the file's line or the variable. The
  server does not start with one. What is set for a plugin that is blocked, or failed to load, is left alone.

What a plugin's author writes is [plugin_settings](hooks.md#plugin_settings).
"""
_TYPES = "<!-- types: generated from registry/events/types.py by scripts/generate_docs.py -->"
_END_OF_TYPES = "<!-- end of types -->"
_CLI = """\
# Commands

Generated from `registry/cli/`. All commands answer `--help`. Those with `--server` ask a running server (also by
`MOORAGE_SERVER`); without it they open the data in their own process, with the same settings as `moorage serve`, and
may do so while it runs. `--json` is for programs; exit code 1 is a refusal, 2 a mistake of usage. What destroys asks
first; `--yes` answers it.
"""


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
            _PLUGIN_SETTINGS,
        ]
    )


def plugin_api() -> Inventory:
    """Return all that the plugin API consists of."""
    return take_inventory(hooks, specs, _testing(), {one.name: one.data for one in TYPES})


def _testing() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(testing.__path__, f"{testing.__name__}."):
        module = importlib.import_module(found.name)
        if hasattr(module, "__all__"):
            yield module


def plugin_api_page() -> str:
    """Return ``docs/plugin-api.md``: every public name of the plugin API."""
    api = plugin_api()
    lines = [f"| [`{name}({', '.join(given)})`](hooks.md#{name}) |" for name, given in sorted(api.hooks.items())]
    pages = [_PLUGIN_API.replace("VERSION", hooks.API_VERSION), "## Hooks", "", "| hook |", "|---|", *lines, ""]
    pages += ["## Names", "", "All are imported from `registry.hooks`.", "", "| name | what it is |", "|---|---|"]
    pages += [f"| `{_called(name, api)}` | {_about(name, api)} |" for name in api.names]
    pages += ["", "## Events", "", "| type | what happened | `subject` | `data` |", "|---|---|---|---|"]
    pages += [f"| `{one.name}` | {one.about} | {one.subject} | {_listed(sorted(one.data))} |" for one in TYPES]
    pages += ["", "## For tests", "", "| module | names |", "|---|---|"]
    pages += [f"| `{module}` | {_listed(names)} |" for module, names in api.further.items()]
    return "\n".join([*pages, ""])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _called(name: str, api: Inventory) -> str:
    if name in api.fields:
        return f"{name}({', '.join(api.fields[name])})"
    if "" in api.methods.get(name, {}):
        return f"{name}({', '.join(api.methods[name][''])})"
    return name


def _about(name: str, api: Inventory) -> str:
    value = getattr(hooks, name)
    if name in api.members:
        return "one of " + ", ".join(f"`{member}`" for member in api.members[name])
    about = {"API_VERSION": f'the version, `"{hooks.API_VERSION}"`', "hookimpl": "marks an implementation of a hook"}
    text = about.get(name) or _markdown((inspect.getdoc(value) or "").partition("\n")[0])
    methods = [
        f"`{method}`" if given == [ATTRIBUTE] else f"`{method}({', '.join(given)})`"
        for method, given in sorted(api.methods.get(name, {}).items())
        if method
    ]
    return f"{text} {', '.join(methods)}".strip()


def api_page() -> str:
    """Return ``docs/api.md``: how to use the API, and its operations."""
    app = Flask("documented")
    install(app, API)
    found = sorted(operations_of(app), key=lambda one: (one.path, one.method))
    return "\n".join([_API, "## Operations", "", f"All are below `{PREFIX}`.", "", *_operations(found), ""])


def _operations(operations: list[Operation]) -> Iterator[str]:
    yield from ("| operation | what it does | parameters and fields | errors |", "|---|---|---|---|")
    for one in operations:
        fields = [kind[1].__struct_fields__ for kind in (one.query, one.body) if kind]
        taken = ", ".join(f"`{name}`" for names in fields for name in names)
        codes = ", ".join(dict.fromkeys(f"`{error.code}`" for error in one.errors))
        matched = " (`If-Match`)" if one.condition else ""
        yield f"| `{one.method} {one.path}`{matched} | {one.summary} | {taken} | {codes} |"


def cli_page() -> str:
    """Return ``docs/cli.md``: what every command says of itself."""
    return "\n".join(
        [_CLI, *_commands(moorage, click.Context(moorage, info_name="moorage", **moorage.context_settings))]
    )


def _commands(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n\n```text\n{_help(command, context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            if part is not None:
                yield from _commands(part, click.Context(part, info_name=name, parent=context))


def _help(command: click.Command, context: click.Context) -> str:
    formatter = click.HelpFormatter(width=_WIDTH)
    command.format_help(context, formatter)
    return formatter.getvalue().rstrip()


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


def events_page() -> str:
    """Return ``docs/events.md`` with the table of the types of events."""
    head, _, rest = (DOCS / "events.md").read_text().partition(_TYPES)
    return (
        head + _TYPES + "\n\n" + "\n".join(_event_types()) + "\n\n" + _END_OF_TYPES + rest.partition(_END_OF_TYPES)[2]
    )


def _event_types() -> Iterator[str]:
    yield from ("| type | what happened | `subject` | `data` |", "|---|---|---|---|")
    for kind in (*TYPES, label_event("NAME")):
        fields = "; ".join(f"`{name}`: {about}" for name, about in kind.data.items())
        yield f"| `{kind.name}` | {kind.about} | {kind.subject} | {fields} |"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "" if value in ("", None, []) else f"`{value}`"


PAGES = {
    "plugin-api.md": plugin_api_page,
    "hooks.md": hook_catalogue,
    "settings.md": settings_page,
    "cli.md": cli_page,
    "api.md": api_page,
    "events.md": events_page,
}


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
