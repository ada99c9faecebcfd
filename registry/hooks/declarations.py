"""What a plugin declares of itself, checked before anything else is asked of it.

All raise :class:`DeclarationRefused` with what is to be changed: the plugin is not loaded then.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pluggy

from registry.hooks.version import API_VERSION

UNDECLARED = "1.0"
"""The plugin API that a plugin without ``MOORAGE_API`` is taken to need."""
_VERSION = re.compile(r"([1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})")
_REFUSED = ("wrapper", "hookwrapper", "tryfirst", "trylast")


class DeclarationRefused(ValueError):
    """What a plugin says of itself cannot be used; the message is a sentence about the plugin."""


def needed_api(plugin: object, offered: str = API_VERSION) -> str:
    """Return the plugin API, MAJOR.MINOR, that a plugin needs; raises where ``offered`` is not that."""
    declared = getattr(plugin, "MOORAGE_API", UNDECLARED)
    match = _VERSION.fullmatch(declared) if isinstance(declared, str) else None
    if match is None:
        raise DeclarationRefused(f'MOORAGE_API is a text such as "{offered}", MAJOR.MINOR, not {declared!r}')
    needed, there = (int(match[1]), int(match[2])), tuple(map(int, offered.split(".")))
    if needed > there:
        raise DeclarationRefused(
            f"it needs plugin API {declared}, and this registry offers {offered}: upgrade moorage to a version that "
            f"offers {declared}, or install a version of the plugin for {offered}"
        )
    if needed[0] < there[0]:
        raise DeclarationRefused(
            f"it was written for plugin API {declared}, and this registry offers {offered}: install a version of the "
            f"plugin for {there[0]}.x, or a moorage that offers {needed[0]}.x"
        )
    return str(declared)


def check_options(manager: pluggy.PluginManager, plugin: object) -> None:
    """Refuse what means nothing here: each implementation is called on its own, so none wraps or precedes another."""
    seen: set[str] = set()
    for name in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is None:
            continue
        if wrong := [option for option in _REFUSED if options.get(option)]:
            raise DeclarationRefused(
                f"{name} is marked {wrong[0]}: each plugin is asked on its own, in no order that another can set; "
                "use a plain @hookimpl"
            )
        hook = options.get("specname") or name
        if hook in seen:
            raise DeclarationRefused(f"{hook} is implemented twice")
        seen.add(hook)


def declared_settings(manager: pluggy.PluginManager, name: str) -> type | None:
    """Return the class that a registered plugin declares for its settings, or None."""
    for one in manager.hook.plugin_settings.get_hookimpls():
        if one.plugin_name == name:
            declared: object = one.function()
            return None if declared is None else check_settings(declared)
    return None


def check_settings(declared: object) -> type:
    """Return what :func:`plugin_settings` gave; raises for what is no frozen dataclass with defaults throughout."""
    if not isinstance(declared, type) or not dataclasses.is_dataclass(declared):
        raise DeclarationRefused(f"plugin_settings returns a dataclass (the class itself), not {declared!r}")
    if not declared.__dataclass_params__.frozen:  # type: ignore[attr-defined] # dataclasses' own record of it
        raise DeclarationRefused(f"{declared.__name__} is not frozen: mark it @dataclass(frozen=True)")
    if lacking := [one.name for one in settable(declared) if is_required(one)]:
        raise DeclarationRefused(f"{declared.__name__}: every setting has a default, but not {', '.join(lacking)}")
    for name, kind in kinds(declared).items():
        try:
            msgspec.json.schema(kind, schema_hook=_schema)
        except (TypeError, RuntimeError) as error:
            raise DeclarationRefused(
                f"{declared.__name__}.{name} is of a type that no file can hold: {error}"
            ) from None
    return declared


def settable(declared: type) -> list[dataclasses.Field[Any]]:
    """Return the fields of a dataclass that its constructor takes."""
    return [one for one in dataclasses.fields(declared) if one.init]


def is_required(one: dataclasses.Field[Any]) -> bool:
    """Tell whether a field has no default."""
    return one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING


def kinds(declared: type) -> Mapping[str, Any]:
    """Return the types of the fields of a dataclass by name."""
    hints = get_type_hints(declared, include_extras=True)
    return {one.name: hints[one.name] for one in settable(declared)}


def _schema(kind: type) -> dict[str, Any]:
    """Know paths, which msgspec does not."""
    if kind is Path:
        return {"type": "string"}
    raise NotImplementedError
