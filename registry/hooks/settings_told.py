"""How settings of plugins are told to people: their values, and what is wrong with one."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, get_origin

from registry import setting_values as values
from registry.setting_values import MASK

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "list": "a list",
    "tuple": "a list",
    "object": "a table",
    "dict": "a table",
}
"""What people call the types of msgspec and of Python."""


def is_plain(kind: Any) -> bool:  # noqa: ANN401 - any annotation
    """Tell whether values of a type are neither lists nor tables."""
    return get_origin(kind) is None and not dataclasses.is_dataclass(kind) and kind not in (list, tuple, dict)


def plain(reason: str) -> str:
    """Return msgspec's message in the words of the other settings."""
    reason = re.sub(r", got `.*?`", "", reason)
    reason = re.sub(r" - at `\$?(.*?)`$", r" at \1", reason)
    reason = re.sub(r"`(.*?)`", lambda found: " or ".join(_WORDS.get(w, w) for w in found[1].split(" | ")), reason)
    return reason[:1].lower() + reason[1:]


def instead(value: object, kind: Any, reason: str, name: str) -> str:  # noqa: ANN401 - any annotation
    """Tell what is there instead; of lists and tables the type alone, as no name says what in them is a secret."""
    if " - at `" in reason:  # it names the place within
        return ""
    if is_plain(kind) and isinstance(value, (str, int, float)):
        return f", not {json.dumps(for_people(value, name))}"
    found = type(value).__name__
    return f", not {_WORDS.get(found, found)}"


def for_people(value: object, name: str) -> object:
    """Make a value fit for display and for JSON; what its name calls a secret is masked."""
    if (values.is_secret(name) or "key" in name.lower()) and value:
        return MASK
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: field_for_people(value, one) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): for_people(part, str(key)) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [for_people(part, "") for part in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return values.hide_password(str(value))


def field_for_people(owner: object, one: dataclasses.Field[Any]) -> object:
    """Make a field of a dataclass fit for display: what is said to be ``public`` is, whatever its name."""
    return for_people(getattr(owner, one.name), "" if one.metadata.get("public") else one.name)
