"""The page of everything that a plugin may import, from ``registry.hooks``."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Iterable, Iterator
from types import ModuleType

import registry.hooks
from registry import testing
from registry.events.types import TYPES
from registry.hooks import specs
from registry.hooks.inventory import Inventory, take_inventory
from scripts.docs.markdown import fence, markdown

_HEAD = """\
# The plugin API

Everything that a plugin may import stands in `registry.hooks`; the rest of Moorage is its own affair and may change.
Values that cross a [hook](hooks/index.md) are frozen, and free of requests, sessions and rows. Generated from
`registry/hooks/`.

## The version

The plugin API has a version of its own, MAJOR.MINOR: this is VERSION. A minor version
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


def page() -> str:
    """Return ``docs/plugin-api.md``: every public name with its fields, methods and meaning."""
    api, names = inventory(), registry.hooks.__all__
    listed = " · ".join(f"[{name}](#{name.lower()})" for name in names)
    hooks = [f"| [`{name}({', '.join(given)})`](hooks/{name}.md) |" for name, given in sorted(api.hooks.items())]
    events = [f"| `{one.name}` | {one.about} | {_listed(sorted(one.data))} |" for one in TYPES]
    tests = [f"| `{module}` | {_listed(found)} |" for module, found in api.further.items()]
    parts = [
        _HEAD.replace("VERSION", registry.hooks.API_VERSION),
        *_table("Hooks", "| hook |\n|---|", hooks),
        *_table("Events", "| type | what happened | `data` |\n|---|---|---|", events),
        *_table("For tests", "| module | names |\n|---|---|", tests),
        f"## Names\n\nAll are imported from `registry.hooks`: {listed}\n",
    ]
    return "\n".join([*parts, *itertools.chain.from_iterable(_entry(name) for name in names)])


def inventory() -> Inventory:
    """Return all that the plugin API consists of."""
    return take_inventory(registry.hooks, specs, _testing(), {one.name: one.data for one in TYPES})


def _testing() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(testing.__path__, f"{testing.__name__}."):
        module = importlib.import_module(found.name)
        if hasattr(module, "__all__"):
            yield module


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(title: str, head: str, rows: Iterable[str]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "\n".join([head, *rows, ""])


def link(name: str) -> str:
    """Return the address, seen from this page, of a hook or a public name."""
    if hasattr(specs, name) and hasattr(getattr(specs, name), "moorage_spec"):
        return f"hooks/{name}.md"
    return f"#{name.lower()}" if name in registry.hooks.__all__ else ""


def _entry(name: str) -> Iterator[str]:
    value = getattr(registry.hooks, name)
    yield f"## {name}\n"
    if inspect.isclass(value):
        yield from _class(value)
    elif inspect.isfunction(value):
        yield fence("text", f"{name}{_signature(value)}")
        yield f"{markdown(inspect.getdoc(value) or '', link)}\n"
    else:
        if isinstance(value, str):
            yield fence("text", f"{name} = {value!r}")
        yield f"{markdown(_text_under(name), link)}\n"


def _class(value: type) -> Iterator[str]:
    members = list(_fields(value)) + list(_methods(value))
    if issubclass(value, BaseException):
        # Without a constructor of ours it takes a text, like all of Python's.
        given = _signature(value).removesuffix(" -> None") if inspect.isfunction(value.__init__) else "(message: str)"
        yield fence("text", f"exception {value.__name__}{given}")
    elif members:
        yield fence("text", "\n".join([f"class {value.__name__}:", *(f"    {line}" for line in members)]))
    yield f"{markdown(inspect.getdoc(value) or '', link)}\n"
    for base in value.__bases__:
        if base.__name__ in registry.hooks.__all__:
            yield f"It is a [`{base.__name__}`]({link(base.__name__)}), too, and has what that has.\n"
    for name, method in _public(value):
        text = inspect.getdoc(method)
        if text:
            yield f"- `{name}`: {' '.join(markdown(text, link).split())}"
    yield ""


def _fields(value: type) -> Iterator[str]:
    if not dataclasses.is_dataclass(value):
        yield from (f"{name}: {kind}" for name, kind in value.__annotations__.items() if not name.startswith("_"))
        return
    for item in dataclasses.fields(value):
        if not item.name.startswith("_"):
            yield f"{item.name}: {item.type}{_default(item)}"


def _default(item: dataclasses.Field[object]) -> str:
    if item.default is not dataclasses.MISSING:
        return f" = {item.default!r}"
    return "" if item.default_factory is dataclasses.MISSING else " = (none)"


def _methods(value: type) -> Iterator[str]:
    for name, method in _public(value):
        if isinstance(method, property):
            yield f"{name}: {inspect.signature(method.fget).return_annotation}" if method.fget else name
        else:
            kind = "classmethod " if isinstance(inspect.getattr_static(value, name), classmethod) else ""
            yield f"{kind}{name}{_signature(getattr(value, name))}"


def _public(value: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(value).items():
        inner = getattr(member, "__func__", member)
        if (inspect.isfunction(inner) or isinstance(inner, property)) and not name.startswith("_"):
            yield name, inner


def _signature(function: object) -> str:
    return str(inspect.signature(function)).replace("'", "")  # type: ignore[arg-type] # it was found to be one


def _text_under(name: str) -> str:
    """Return the text under the assignment of ``name``, wherever in the package it stands."""
    for module in vars(registry.hooks).values():
        if inspect.ismodule(module):
            body = ast.parse(inspect.getsource(module)).body
            for node, following in itertools.pairwise(body):
                named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
                if named and isinstance(following, ast.Expr):
                    return inspect.cleandoc(str(ast.literal_eval(following.value)))
    return ""
