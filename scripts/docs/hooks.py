"""A page a hook, and an index of them by theme, from ``registry/hooks/specs.py``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from textwrap import dedent

import registry.hooks
from registry.hooks import specs
from scripts.docs.markdown import fence, markdown, split_example

# The themes, in the order in which somebody meets them, and for whom each is.
_THEMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Formats": (
        "A manifest of a media type that the registry did not know.",
        (
            "manifest_media_types",
            "parse_manifest",
            "validate_manifest",
            "manifest_layers",
            "manifest_children",
            "manifest_labels",
            "convert_manifest",
        ),
    ),
    "Artifacts": (
        "What is in an OCI manifest, by its `artifactType`: models, modules, charts.",
        ("artifact_types", "validate_artifact", "artifact_layers", "artifact_labels"),
    ),
    "Labels": ("A label of an image that makes something happen to its tags.", ("label_actions",)),
    "Admission": (
        "House rules that refuse a push, a move of a tag or a pull, with a reason that people read.",
        ("admit_manifest", "admit_tag_change", "admit_pull", "admission_hooks"),
    ),
    "Access": (
        "Users that another source knows, and denials of what the policy allows.",
        ("authenticate", "authorize"),
    ),
    "Events": ("Something is to follow from what happened.", ("event_happened", "event_consumers")),
    "Jobs, commands and pages": (
        "Something to do by a schedule, a command beside `moorage serve`, an address beside `/v2`.",
        ("jobs", "cli_commands", "blueprints"),
    ),
    "Settings": ("What operators can set for your plugin.", ("plugin_settings",)),
    "Storage": ("Blobs somewhere else than in files or S3.", ("storage_drivers",)),
    "Docker's oldest images": (
        "Formats that clients of Docker's v1 images read, too.",
        ("needs_empty_layer", "legacy_image_ids", "legacy_images"),
    ),
}
_NAME = re.compile(r"[A-Za-z_]\w*")
_WIDTH = 100
_ABSTRACT = {"Callable", "Iterable", "Mapping", "Sequence"}
_HEAD = """\
# All hooks

A plugin implements as many of these functions as it likes. What each one gets and returns, and the types' fields, are
in the [plugin API](../plugin-api.md). Generated from `registry/hooks/specs.py`.

"""


def pages() -> dict[str, str]:
    """Return the pages below ``docs/hooks``."""
    functions = {name: value for name, value in vars(specs).items() if hasattr(value, "moorage_spec")}
    named = {name: theme for theme, (_, names) in _THEMES.items() for name in names}
    if set(named) != set(functions):
        differ = ", ".join(sorted(set(named) ^ set(functions)))
        raise ValueError(f"scripts/docs/hooks.py names each hook's theme once; look at: {differ}")
    made = {f"hooks/{name}.md": _page(name, functions[name], named[name]) for name in named}
    return {"hooks/index.md": _index(functions), **made}


def link(name: str) -> str:
    """Return the address, seen from a hook's page, of a hook or a public name."""
    if hasattr(specs, name) and hasattr(getattr(specs, name), "moorage_spec"):
        return f"{name}.md"
    return f"../plugin-api.md#{name.lower()}" if name in registry.hooks.__all__ else ""


def _index(functions: dict[str, Callable[..., object]]) -> str:
    prose, _ = split_example(dedent(inspect.getdoc(specs) or "").partition("\n\n")[2])
    conventions = prose.partition("\n\n")[0]
    return "".join([_HEAD, *_themes(functions), "## Conventions\n\n", markdown(conventions, link), "\n"])


def _themes(functions: dict[str, Callable[..., object]]) -> Iterator[str]:
    for theme, (about, names) in _THEMES.items():
        yield f"## {theme}\n\n{about}\n\n| hook | |\n|---|---|\n"
        for name in names:
            first = (inspect.getdoc(functions[name]) or "").partition("\n")[0]
            yield f"| [`{name}`]({name}.md) | {markdown(first, link)} |\n"
        yield "\n"


def _page(name: str, function: Callable[..., object], theme: str) -> str:
    prose, example = split_example(inspect.getdoc(function) or "")
    others = [f"[`{other}`]({other}.md)" for other in _THEMES[theme][1] if other != name]
    beside = f"More about {theme[0].lower()}{theme[1:]}: {', '.join(others)}.\n\n" if others else ""
    return "\n".join(
        [
            f"# {name}\n",
            f"{markdown(prose, link)}.\n",
            "## A complete plugin\n",
            fence("python", example),
            "## What it gets and returns\n",
            fence("python", _signature(name, function)),
            _types(function),
            "## Further\n",
            f"{beside}[All hooks](index.md) · [the plugin API](../plugin-api.md)",
            "",
        ]
    )


def _signature(name: str, function: Callable[..., object]) -> str:
    """Return the implementation's head with its types, and what has to be imported for them."""
    found = _named(function)
    public = sorted({one for one in found if one in registry.hooks.__all__} | {"hookimpl"}, key=_import_order)
    abstract = sorted(found & _ABSTRACT)
    shown = [f"{one.name}: {one.annotation}" for one in inspect.signature(function).parameters.values()]
    head = f"def {name}({', '.join(shown)}) -> {inspect.signature(function).return_annotation}:"
    if len(head) > _WIDTH:
        head = f"def {name}(\n    {', '.join(shown)},\n) -> {inspect.signature(function).return_annotation}:"
    lines = [f"from collections.abc import {', '.join(abstract)}\n"] if abstract else []
    return "\n".join([*lines, f"from registry.hooks import {', '.join(public)}\n", "@hookimpl", head, "    ..."])


def _import_order(name: str) -> tuple[bool, str]:
    return name.islower(), name


def _named(function: Callable[..., object]) -> set[str]:
    signature = inspect.signature(function)
    annotations = [one.annotation for one in signature.parameters.values()] + [signature.return_annotation]
    return {name for text in annotations for name in _NAME.findall(str(text))}


def _types(function: Callable[..., object]) -> str:
    public = sorted(_named(function) & set(registry.hooks.__all__))
    linked = ", ".join(f"[`{name}`]({link(name)})" for name in public)
    told = f"Types: {linked}. " if linked else ""
    parameters = inspect.signature(function).parameters
    return f"{told}{'Arguments that you do not use may be left out.' if parameters else ''}\n".lstrip("\n")
