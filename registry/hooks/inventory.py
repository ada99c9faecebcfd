"""What the plugin API consists of, read from the code: the page of public names and the tests of versions use it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, ModuleType, UnionType
from typing import get_args

ATTRIBUTE = "@"
NO_EVENTS: Mapping[str, Iterable[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Inventory:
    """Public names and hooks, all JSON-shaped.

    ``hooks`` are the arguments of each hook. ``fields`` are those that a class's constructor takes, in order,
    ``methods`` the parameters of functions and of a class's methods by the class's name; what has a default ends with
    ``=``, and what is no method but an attribute has :data:`ATTRIBUTE` in their place. ``members`` are the classes of a
    union. ``further`` are the public names of further modules, ``events`` the fields of data of each type of events.
    """

    names: Sequence[str]
    hooks: Mapping[str, Sequence[str]]
    fields: Mapping[str, Sequence[str]]
    methods: Mapping[str, Mapping[str, Sequence[str]]]
    members: Mapping[str, Sequence[str]]
    further: Mapping[str, Sequence[str]]
    events: Mapping[str, Sequence[str]]


def take_inventory(
    public: ModuleType,
    specs: ModuleType,
    further: Iterable[ModuleType] = (),
    events: Mapping[str, Iterable[str]] = NO_EVENTS,
) -> Inventory:
    """Return what the module ``public`` and ``further`` ones list in ``__all__``, and the hooks that ``specs`` defines.

    ``events`` are the names of fields by type.
    """
    names = sorted(public.__all__)
    values = {name: getattr(public, name) for name in names}
    classes = {name: value for name, value in values.items() if isinstance(value, type) and value.__name__ == name}
    return Inventory(
        names=names,
        hooks={
            name: list(inspect.signature(value).parameters)
            for name, value in vars(specs).items()
            if hasattr(value, "moorage_spec")
        },
        fields={name: _fields(value) for name, value in classes.items() if dataclasses.is_dataclass(value)},
        methods={
            **{name: found for name, value in classes.items() if (found := _methods(value))},
            **{name: {"": _parameters(value)} for name, value in values.items() if inspect.isfunction(value)},
        },
        members={
            name: sorted(member.__name__ for member in get_args(value) or (value,))
            for name, value in values.items()
            if isinstance(value, UnionType | type) and name not in classes
        },
        further={module.__name__: sorted(module.__all__) for module in further},
        events={name: sorted(fields) for name, fields in events.items()},
    )


def _fields(declared: type) -> list[str]:
    found = [one for one in dataclasses.fields(declared) if one.init]
    return [f"{one.name}=" if _has_default(one) else one.name for one in found]


def _has_default(one: dataclasses.Field[object]) -> bool:
    return one.default is not dataclasses.MISSING or one.default_factory is not dataclasses.MISSING


def _methods(declared: type) -> dict[str, list[str]]:
    """Return the public methods that a class defines, and the attributes of a protocol."""
    found: dict[str, list[str]] = {}
    if not dataclasses.is_dataclass(declared):
        found |= {name: [ATTRIBUTE] for name in vars(declared).get("__annotations__", {}) if not name.startswith("_")}
    for name, value in vars(declared).items():
        plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if name.startswith("_") and name != "__call__":
            continue
        if isinstance(value, property):
            found[name] = [ATTRIBUTE]
        elif inspect.isfunction(plain):
            found[name] = [one for one in _parameters(plain) if one not in ("self", "cls")]
    return found


def _parameters(function: object) -> list[str]:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type] # a function, asked by who calls
    return [one.name if one.default is one.empty else f"{one.name}=" for one in parameters]
