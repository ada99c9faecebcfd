"""The OpenAPI 3.1 document, made from the operations of an app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from registry.blueprints._problems import PREFIX, PROBLEM, Problem
from registry.blueprints.api._operations import STREAM, Operation
from registry.digest import Digest
from registry.errors import (
    Denied,
    InputInvalid,
    InputTooLarge,
    InputTypeUnsupported,
    PreconditionFailed,
    RegistryError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from registry.names import NAME_PATTERN, TAG_PATTERN, Reference, RepositoryName, TagName

_REF = "#/components/schemas/{name}"
_ABOUT = """\
Everything that `moorage` does on the command line, over HTTP. Errors are problem details (RFC 9457): `code` and
`context` are for programs. Lists come in pages: `next` of one is the `cursor` of the following one. What has an `ETag`
can be changed under `If-Match`. A repository's name holds slashes as they are: `/repositories/team/app/-/tags`."""
_PATH_SCHEMAS: dict[Any, dict[str, object]] = {
    RepositoryName: {"type": "string", "pattern": f"^{NAME_PATTERN}$", "maxLength": 255},
    TagName: {"type": "string", "pattern": f"^{TAG_PATTERN}$"},
    Digest: {"type": "string", "examples": ["sha256:" + "0" * 64]},
    Reference: {"type": "string", "description": "a tag or a digest"},
    int: {"type": "integer", "minimum": 0},
    str: {"type": "string"},
}

_SCHEMES: Mapping[str, Mapping[str, str]] = {
    "password": {"type": "http", "scheme": "basic", "description": "a name, and its password or API key"},
    "key": {"type": "http", "scheme": "bearer", "description": "an API key, or a token of this registry"},
}
"""How clients show who they are, where authentication is on."""


def document(operations: Sequence[Operation]) -> dict[str, object]:
    """Return the document of ``operations``."""
    types: list[Any] = [Problem]
    for one in operations:
        types += [kind for kind in (one.query and one.query[1], one.body and one.body[1], one.answer) if kind]
    types = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, object]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _entry(one, by_type, components)
    queries = {one.query[1].__name__ for one in operations if one.query}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Moorage", "version": version("moorage"), "description": _ABOUT},
        "servers": [{"url": PREFIX}],
        "security": [{}, *({name: list[str]()} for name in _SCHEMES)],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": _SCHEMES,
            "schemas": {name: part for name, part in components.items() if name not in queries},
        },
    }


def _entry(one: Operation, by_type: dict[Any, Any], components: dict[str, Any]) -> dict[str, object]:
    entry: dict[str, object] = {
        "operationId": one.name,
        "summary": one.summary,
        "tags": [one.function.__module__.rpartition(".")[2]],
        "parameters": list(_parameters(one, components)),
        "responses": dict(_responses(one, by_type)),
    }
    if one.body is not None:
        entry["requestBody"] = {"required": True, "content": {"application/json": {"schema": by_type[one.body[1]]}}}
    return entry


def _parameters(one: Operation, components: dict[str, Any]) -> Iterator[dict[str, object]]:
    for name, kind in one.path_types.items():
        yield {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS[kind]}
    if one.query is not None:
        schema = components[one.query[1].__name__]
        for name, part in schema["properties"].items():
            yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": part}
    if one.condition:
        yield {"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}}
        yield {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string", "enum": ["*"]}}


def _responses(one: Operation, by_type: dict[Any, Any]) -> Iterator[tuple[str, dict[str, object]]]:
    success: dict[str, Any] = {"description": one.summary}
    if one.answer is not None:
        success["content"] = {"application/json": {"schema": by_type[one.answer]}}
        if one.streams:
            success["content"] = {**success["content"], STREAM: {"schema": {"type": "string"}}}
    yield str(one.status), success
    by_status: dict[int, list[str]] = {}
    for error in dict.fromkeys([*_of_any_input(one), *one.errors]):
        by_status.setdefault(error.http_status, []).append(f"{error.code}: {error.summary}")
    for status, told in sorted(by_status.items()):
        problem = {PROBLEM: {"schema": by_type[Problem]}}
        yield str(status), {"description": "; ".join(dict.fromkeys(told)), "content": problem}


def _of_any_input(one: Operation) -> Iterator[type[RegistryError]]:
    yield from (InputInvalid, Unauthorized, Denied, TooManyRequests, Unavailable)
    if one.method != "GET":
        yield from (InputTooLarge, InputTypeUnsupported)
    if one.condition:
        yield PreconditionFailed
