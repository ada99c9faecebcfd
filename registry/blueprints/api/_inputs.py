"""What an operation takes: parsed and checked in one place, so that nothing odd gets further."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec
from flask import request

from registry.blueprints._http import RequestBody, repository
from registry.digest import Digest
from registry.errors import InputInvalid, InputTooLarge, InputTypeUnsupported
from registry.media_types import essence
from registry.names import Reference, RepositoryName, TagName, parse_reference
from registry.revisions import Condition

MAX_BODY = 1 << 20
MOST_POLICY = 16 << 20
"""The most bytes of a body that holds a whole policy."""
_JSON = "application/json"
_INT64 = 1 << 63
_ETAGS = re.compile(r'\s*(?:"[\x21\x23-\x7e]*"\s*(?:,\s*|$))+')
_ROW_ID = re.compile(r"[0-9]{1,18}")
S = TypeVar("S", bound=msgspec.Struct)
B = TypeVar("B", bound="Body")


class Query(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Parameters of a query; unknown ones are refused."""


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A JSON body; unknown fields are refused. ``body_limit`` bytes at most are taken."""

    body_limit: ClassVar[int] = MAX_BODY


def _row_id(text: str) -> int:
    if _ROW_ID.fullmatch(text) is None:
        raise InputInvalid("the id must be a number", detail={"id": text[:64]})
    return int(text)


PATH_PARSERS: Mapping[Any, Callable[[str], object]] = {
    RepositoryName: repository,
    TagName: TagName.parse,
    Digest: Digest.parse,
    Reference: parse_reference,
    int: _row_id,
    str: lambda text: _clean(text, "the path"),
}
"""What a part of a path may be, and how it is read."""


def read_query(kind: type[S]) -> S:
    """Return the query's parameters; raises :class:`InputInvalid` for unknown, repeated and bad ones."""
    found: dict[str, str] = {}
    for name, texts in request.args.lists():
        if len(texts) > 1:
            raise InputInvalid("a parameter is given twice", detail={"parameter": name[:64]})
        found[name] = texts[0]
    return _checked(lambda: msgspec.convert(found, kind, strict=False), "the query")


def read_body(kind: type[B] | None, *, required: bool) -> B | None:
    """Return the body as ``kind``; where an operation takes none, an empty one or ``{}`` is required.

    A browser sends JSON to another site only where that site has agreed: ``required`` keeps forms out.
    """
    most = (kind or Body).body_limit
    data = RequestBody().read_all(most)
    if len(data) > most:
        raise InputTooLarge(detail={"limit": most})
    given = essence(request.headers.get("Content-Type", ""))
    if (data or required) and given != _JSON:
        raise InputTypeUnsupported(detail={"contentType": given[:64], "expected": _JSON})
    if kind is None:
        if data:
            _checked(lambda: msgspec.json.decode(data, type=Body), "the body")
        return None
    return _checked(lambda: msgspec.json.decode(data, type=kind), "the body")


def read_condition() -> Condition:
    """Return what ``If-Match`` and ``If-None-Match`` require (RFC 9110, 13.1.1 and 13.1.2)."""
    header, other = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if other is not None:
        if other.strip() != "*" or header is not None:
            raise InputInvalid(
                "a change takes If-None-Match: * alone, where nothing may be there yet",
                detail={"ifNoneMatch": other[:64]},
            )
        return Condition(exists=False)
    if header is None:
        return Condition()
    if header.strip() == "*":
        return Condition(exists=True)
    if _ETAGS.fullmatch(header) is None:
        raise InputInvalid("If-Match must be * or entity tags in quotes", detail={"ifMatch": header[:64]})
    return Condition(frozenset(re.findall(r'"([^"]*)"', header)))


def _checked(read: Callable[[], S], where: str) -> S:
    try:
        value = read()
    except msgspec.MsgspecError as error:
        raise InputInvalid(
            f"{where} is not what this operation takes: {error}", detail={"problem": str(error)}
        ) from None
    except (RecursionError, UnicodeError) as error:
        raise InputInvalid(f"{where} cannot be read", detail={"problem": type(error).__name__}) from None
    for part in _leaves(msgspec.to_builtins(value)):
        if isinstance(part, str):
            _clean(part, where)
        elif isinstance(part, int) and not -_INT64 <= part < _INT64:
            raise InputInvalid(f"{where} has a number beyond 64 bits", detail={"number": str(part)[:64]})
    return value


def _clean(text: str, where: str) -> str:
    """Return ``text``; PostgreSQL takes none with NUL or half a surrogate pair, and nothing asked for has one."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InputInvalid(f"{where} holds a character that is none", detail={"text": repr(text)[:64]})
    return text


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
