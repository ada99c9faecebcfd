"""One strict JSON decoder for everything that is pushed.

Two parsers that read one text differently are how a manifest means one thing to a scanner and another to a
runtime; so whatever RFC 8259 leaves open is refused here.
"""

from __future__ import annotations

import json
import re
from typing import Any, Never

from registry.errors import ManifestInvalid

MAX_DEPTH = 32
_INT64 = 2**63
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"|[][{}]', re.DOTALL)


def decode_object(payload: bytes) -> dict[str, Any]:
    """Decode a JSON object.

    Raises :class:`ManifestInvalid` for text that is no strict UTF-8, for anything but an object at the top, and
    for duplicate keys, NaN and infinities, integers beyond 64 bits and
    nesting beyond 32 levels.
    """
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestInvalid("not UTF-8", detail={"offset": error.start}) from None
    _refuse_depth(text)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
        )
    except json.JSONDecodeError as error:
        raise ManifestInvalid(f"not JSON: {error.msg}", detail={"line": error.lineno, "column": error.colno}) from None
    if not isinstance(value, dict):
        raise ManifestInvalid("not a JSON object")
    _refuse_surrogates(text, value)
    return value


def _refuse_depth(text: str) -> None:
    """Refuse deep nesting before the recursive decoder meets it; brackets inside strings do not count."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for match in _TOKENS.finditer(text):
        if match[0] in "{[":
            depth += 1
        elif match[0] in "}]":
            depth -= 1
        if depth > MAX_DEPTH:
            raise ManifestInvalid(f"JSON is nested deeper than {MAX_DEPTH} levels", detail={"limit": MAX_DEPTH})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ManifestInvalid("duplicate key in JSON object", detail={"key": key[:256]})
            seen.add(key)
    return value


def _constant(name: str) -> Never:
    raise ManifestInvalid(f"{name} is not JSON", detail={"value": name})


def _integer(text: str) -> int:
    # 20 characters hold every 64-bit integer; longer text is refused before int() works on it.
    if len(text) <= 20:  # noqa: PLR2004 - explained above
        number = int(text)
        if -_INT64 <= number < _INT64:
            return number
    raise ManifestInvalid("integer beyond 64 bits", detail={"value": text[:64]})


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ManifestInvalid("number too large", detail={"value": text[:64]})
    return number


def _refuse_surrogates(text: str, value: object) -> None:
    r"""Refuse lone surrogates, which JSON can spell (``\ud800``) and UTF-8 cannot."""
    if "\\u" not in text:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ManifestInvalid("JSON string with a lone surrogate") from None
