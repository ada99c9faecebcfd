"""The page of everything that a plugin may import, from ``registry.hooks``."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
from collections.abc import Iterator

import registry.hooks
from registry.hooks import specs
from scripts.docs.markdown import fence, markdown

_HEAD = """\
# The plugin API

Everything that a plugin may import stands in `registry.hooks`; the rest of Moorage is its own affair and may change.
Values that cross a [hook](hooks/index.md) are frozen, and free of requests, sessions and rows. Generated from
`registry/hooks/`.

"""


def page() -> str:
    """Return ``docs/plugin-api.md``: every public name with its fields, methods and meaning."""
    names = registry.hooks.__all__
    listed = " · ".join(f"[{name}](#{name.lower()})" for name in names)
    return "\n".join([f"{_HEAD}{listed}\n", *itertools.chain.from_iterable(_entry(name) for name in names)])


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
