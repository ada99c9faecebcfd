"""Bytes that clients send by mistake or on purpose."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

__all__ = ["documents", "logins", "payloads", "texts"]

_ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**63,
    1.5,
    "",
    "x",
    "\x00",
    "\ud800",
    "a" * 10_000,
    [],
    [None],
    {},
    {"": None},
)
_DEEP = 10_000
Path = tuple[str | int, ...]


def payloads() -> Iterator[tuple[str, bytes]]:
    """Yield bytes that are no manifest of any kind, each with what it is."""
    yield "nothing", b""
    yield "a lone bracket", b"{"
    yield "null", b"null"
    yield "a list", b"[]"
    yield "a number", b"1"
    yield "a text", b'"text"'
    yield "NaN", b'{"size": NaN}'
    yield "an integer of 5,000 digits", b'{"size": ' + b"9" * 5000 + b"}"
    yield "a key twice", b'{"a": 1, "a": 2}'
    yield "bytes that are no UTF-8", b'{"a": "\xff\xfe"}'
    yield "UTF-16", '{"a": 1}'.encode("utf-16")
    yield "lists that are nested 10,000 deep", b"[" * _DEEP + b"]" * _DEEP
    yield "objects that are nested 10,000 deep", b'{"a":' * _DEEP + b"1" + b"}" * _DEEP
    yield "a zip file's head", b"PK\x03\x04" + bytes(64)


def documents(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a good manifest cut short and, where it is a JSON object, with each of its values odd or left out."""
    for length in (1, len(good) // 2, len(good) - 1):
        yield f"the first {length} bytes of a good manifest", good[:length]
    try:
        document = json.loads(good)
    except ValueError:
        return
    for path in _paths(document):
        shown = ".".join(map(str, path))
        for odd in _ODD:
            yield f"a good manifest whose {shown} is {_short(odd)}", _changed(document, path, odd)
        yield f"a good manifest without {shown}", _changed(document, path, ...)


def texts() -> Iterator[str]:
    """Yield values of labels that people or programs could set."""
    yield from ("", " ", "0", "-1", "1", "+1", "1.5", "1e9", "9" * 400, "true", "null", "NaN", "x" * 10_240)
    yield from ("\x00", "\n", "1\n", " 1", "1 ", "\u0661\u0662", "\U0001f4a3", "\u202e", "\ud800", "{}", "[]", '"1"')
    yield from ("1d", "1 day", "2024-02-29", "2023-02-29", "../../etc/passwd", "%s%n", "' OR 1=1 --", "a,b;c")


def logins() -> Iterator[str]:
    """Yield names that people or programs could log in with, and that are nobody's."""
    yield from (
        "nobody-of-this-name",
        "*",
        "a*",
        "**",
        "?",
        "%",
        "_",
        " ",
        ".",
        "..",
        "-",
        "\\",
        "\\2a",
        "root",
        "null",
    )
    yield from ("*)(uid=*", "*)(|(uid=*", ")(cn=*))(|(cn=*", "x)(objectClass=*", "*))%00", "admin)(&)", "a,b", "a=b")
    yield from ("uid=admin,dc=example,dc=org", "cn=*", "a#b", '"', "<>", ";", "+", "EXAMPLE\\nobody", "nobody@*")
    yield from ("' OR 1=1 --", '" OR ""="', "'; DROP TABLE users; --", "$(id)", "`id`", "${jndi:ldap://x}", "../../x")
    yield from ("\x01", "\n", "nobody\n", " nobody", "nobody ", "\u202enobody", "\U0001f4a3", "\u0661", "x" * 255)


def _paths(value: object, path: Path = ()) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def _changed(document: object, path: Path, odd: object) -> bytes:
    changed: Any = copy.deepcopy(document)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    if odd is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = odd
    return json.dumps(changed).encode()


def _short(odd: object) -> str:
    shown = json.dumps(odd)
    return shown if len(shown) < 20 else f"{shown[:16]}..."
