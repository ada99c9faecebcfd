"""Typed access to decoded JSON: every refusal names the field, as a path such as ``layers[3].digest``.

Where a value is optional, ``null`` counts as absent: clients in Go and .NET write it for what they leave out,
and all parsers agree on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Never

from registry.digest import Digest
from registry.errors import DigestInvalid, ManifestInvalid
from registry.media_types import is_media_type

Object = dict[str, Any]

_NO_STRINGS: Mapping[str, str] = MappingProxyType({})
_MAX_MEDIA_TYPE = 255
_SHOWN = 128


def refuse(path: str, reason: str, value: object = None) -> Never:
    """Raise :class:`ManifestInvalid` that names the field and shows (a bounded part of) its value."""
    detail: dict[str, object] = {"field": path}
    if value is not None:
        text = value if isinstance(value, str) else repr(value)
        detail["value"] = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    raise ManifestInvalid(f"{path} {reason}", detail=detail)


def join(path: str, key: str) -> str:
    """Return the path of ``key`` inside the object at ``path`` (empty: the top)."""
    return f"{path}.{key}" if path else key


def as_object(value: object, path: str) -> Object:
    """Return ``value`` if it is an object."""
    if not isinstance(value, dict):
        refuse(path, "must be an object", value)
    return value


def as_text(value: object, path: str) -> str:
    """Return ``value`` if it is a string without NUL, which PostgreSQL cannot keep and C programs cut at."""
    if not isinstance(value, str):
        refuse(path, "must be a string", value)
    if "\0" in value:
        refuse(path, "must not contain NUL", repr(value))
    return value


def required(holder: Object, key: str, path: str = "") -> object:
    """Return the value of ``key``, which must be there and not null."""
    value = holder.get(key)
    if value is None:
        refuse(join(path, key), "must not be null" if key in holder else "is required")
    return value


def required_object(holder: Object, key: str, path: str = "") -> Object:
    """Return the object under ``key``."""
    return as_object(required(holder, key, path), join(path, key))


def required_list(holder: Object, key: str, path: str = "") -> list[Any]:
    """Return the list under ``key``."""
    value = required(holder, key, path)
    if not isinstance(value, list):
        refuse(join(path, key), "must be a list", value)
    return value


def required_string(holder: Object, key: str, path: str = "") -> str:
    """Return the string under ``key``."""
    return as_text(required(holder, key, path), join(path, key))


def optional_string(holder: Object, key: str, path: str = "") -> str:
    """Return the string under ``key``, empty where there is none."""
    return required_string(holder, key, path) if holder.get(key) is not None else ""


def optional_flag(holder: Object, key: str, path: str = "") -> bool:
    """Return the boolean under ``key``, False where there is none."""
    value = holder.get(key)
    if value is not None and not isinstance(value, bool):
        refuse(join(path, key), "must be true or false", value)
    return bool(value)


def optional_object(holder: Object, key: str, path: str = "") -> Object | None:
    """Return the object under ``key``, None where there is none."""
    return required_object(holder, key, path) if holder.get(key) is not None else None


def optional_list(holder: Object, key: str, path: str = "") -> list[Any]:
    """Return the list under ``key``, an empty one where there is none."""
    return required_list(holder, key, path) if holder.get(key) is not None else []


def optional_strings(holder: Object, key: str, path: str = "") -> list[str]:
    """Return the list of strings under ``key``, an empty one where there is none."""
    values = optional_list(holder, key, path)
    for index, value in enumerate(values):
        as_text(value, f"{join(path, key)}[{index}]")
    return values


def optional_string_map(holder: Object, key: str, path: str = "") -> Mapping[str, str]:
    """Return the object of strings under ``key``, an empty one where there is none."""
    values = optional_object(holder, key, path)
    if values is None:
        return _NO_STRINGS
    for name, value in values.items():
        as_text(name, f"a name in {join(path, key)}")
        as_text(value, f"{join(path, key)}[{name[:_SHOWN]}]")
    return values


def required_size(holder: Object, key: str, path: str) -> int:
    """Return the number of bytes under ``key``: an integer, neither negative nor a boolean."""
    value = required(holder, key, path)
    if not isinstance(value, int) or isinstance(value, bool):
        refuse(join(path, key), "must be an integer", value)
    if value < 0:
        refuse(join(path, key), "must not be negative", value)
    return value


def required_digest(holder: Object, key: str, path: str) -> Digest:
    """Return the digest under ``key``."""
    value = required(holder, key, path)
    try:
        return Digest.parse(value)
    except DigestInvalid as error:
        refuse(join(path, key), f"is no digest ({error.message})", value)


def required_media_type(holder: Object, key: str, path: str = "") -> str:
    """Return the media type under ``key``.

    Parameters are let through: clients state types such as ``application/vnd.dev.sigstore.bundle+json;version=0.3``
    for layers and artifacts.
    """
    value = required_string(holder, key, path)
    essence = value.partition(";")[0].rstrip(" ")
    if not is_media_type(essence) or len(value) > _MAX_MEDIA_TYPE or not (value.isascii() and value.isprintable()):
        refuse(join(path, key), "must be a media type", value)
    return value


def refuse_other_spellings(holder: Object, names: Iterable[str], path: str = "") -> None:
    """Refuse ``Layers`` where ``layers`` has a meaning.

    Go's decoder takes either and the last one wins, so that such a document means one thing to a runtime and
    another to this registry. Case folding also covers the letters outside ASCII that Go folds (U+017F, U+212A).
    """
    known = {name.casefold(): name for name in names}
    for key in holder:
        name = known.get(key.casefold(), key)
        if name != key:
            refuse(join(path, key), f"must be spelled {name}")


def refuse_fields(holder: Object, names: Iterable[str], kind: str) -> None:
    """Refuse a document that is also of another kind (CVE-2021-41190); a null field counts as there."""
    for name in names:
        if name in holder:
            refuse(name, f"has no place in {kind}")
