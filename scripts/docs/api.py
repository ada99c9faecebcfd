"""The API's pages, one for each kind of resource, from the OpenAPI document that a server gives."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Flask

from registry.app import API
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._openapi import document
from registry.blueprints.api._operations import install, operations_of
from scripts.docs.api_examples import EXAMPLES, PATH, Example
from scripts.docs.markdown import fence, markdown

_REFUSED = 400
_HOST = f"http://127.0.0.1:5000{PREFIX}"
_HEAD = """\
# The API

A server describes itself in full, for programs, at `/api/v1/openapi.json` (OpenAPI 3.1); these pages are made from the
same. The command line speaks this API and nothing else: whatever [`moorage`](../cli/index.md) does, a program can do,
and the other way round.

```console
$ curl 'http://127.0.0.1:5000/api/v1/repositories/team/app/-/tags/v1'
{"name":"v1",...}
```

- **Names.** A repository's name holds its slashes as they are; what is in it comes behind `/-/`.
- **Bodies** are JSON and say so (`Content-Type: application/json`); every POST has one, `{}` at least, so that no web
  page can send it from somebody's browser. Unknown fields and parameters are refused. 1 MiB at most, of a whole policy
  16 MiB.
- **Credentials**, where `authentication` is on: a name with its password or API key (`curl -u alice`), or an API key
  alone (`Authorization: Bearer mk_...`). Which role an operation needs: [access](../access.md#what-needs-which-role).
- **Times** are RFC 3339 in UTC; durations are whole seconds.
- **Lists** come in pages: `{"items": [...], "next": "..."}`. Ask again with `cursor=` that text, until it is null.
  `limit` is capped by the setting `page_size_max`.
- **Changes without surprises.** An answer has an `ETag`. Where an operation takes `If-Match`, send that back: if
  somebody else was quicker, the answer is 412 and nothing was changed. With `If-None-Match: *` it
  is made only where nothing is there yet. On a GET, `If-None-Match` gives 304.
- **Errors** are problem details (RFC 9457, `application/problem+json`): `title`, `status` and `detail` for people,
  `code` and `context` for programs.

```json
{"type": "urn:moorage:problem:name-taken", "title": "the repository name is taken", "status": 409,
 "detail": "the repository name is taken", "code": "NAME_TAKEN", "context": {"name": "team/app"}}
```

What clients of images speak is another API, the OCI distribution API under `/v2/`; it is described by its own
specification.

## Operations

All are below `/api/v1`.

| operation | what it does |
|---|---|
"""
Json = Mapping[str, Any]


def pages() -> dict[str, str]:
    """Return the pages below ``docs/api``: the index, and one for each kind of resource."""
    app = Flask("documented")
    install(app, API)
    operations = operations_of(app)
    told: Json = document(operations)
    order = list(EXAMPLES)
    found = [(path, method, entry) for path, methods in told["paths"].items() for method, entry in methods.items()]
    found.sort(key=lambda one: order.index(one[2]["operationId"]) if one[2]["operationId"] in order else len(order))
    abouts = {one.function.__module__.rpartition(".")[2]: one.function.__module__ for one in operations}
    by_tag: dict[str, list[tuple[str, str, Json]]] = {}
    for one in found:
        by_tag.setdefault(one[2]["tags"][0], []).append(one)
    schemas = told["components"]["schemas"]
    made = {f"api/{tag}.md": _page(tag, abouts[tag], entries, schemas) for tag, entries in by_tag.items()}
    return {"api/index.md": "".join([_HEAD, *_rows(by_tag)]), **made}


def _rows(by_tag: Mapping[str, list[tuple[str, str, Json]]]) -> Iterator[str]:
    for tag, entries in by_tag.items():
        for path, method, entry in entries:
            anchor = _title(entry).lower().replace(" ", "-")
            yield f"| [`{method.upper()} {path}`]({tag}.md#{anchor}) | {entry['summary']} |\n"


def _page(tag: str, module: str, entries: list[tuple[str, str, Json]], schemas: Json) -> str:
    about = (inspect.getdoc(sys.modules[module]) or "").partition("\n")[0]
    sections = [part for one in entries for part in _operation(*one, schemas)]
    answers = [part for name in _answered(entries, schemas) for part in _schema(name, schemas)]
    closing = ["## What answers hold\n", *answers] if answers else []
    title = f"# API: {tag}\n"
    general = "General rules, errors and pages of lists: [the API](index.md).\n"
    return "\n".join([title, f"{markdown(about, lambda _: '')}\n", general, *sections, *closing])


def _title(entry: Json) -> str:
    return str(entry["operationId"]).replace("_", " ").capitalize()


def _operation(path: str, method: str, entry: Json, schemas: Json) -> Iterator[str]:
    yield f"## {_title(entry)}\n"
    yield f"`{method.upper()} {PREFIX}{path}`\n"
    yield f"{entry['summary']}\n"
    rows = [(one["name"], one["in"], one["schema"], one["required"]) for one in entry["parameters"]]
    if "requestBody" in entry:
        body = schemas[_referred(entry["requestBody"]["content"]["application/json"]["schema"])]
        rows += [(name, "body", part, name in body.get("required", ())) for name, part in body["properties"].items()]
    if rows:
        yield "| parameter | in | type | |\n|---|---|---|---|"
        yield "\n".join(
            f"| `{name}` | {place} | {_type(part)} | {_meaning(part, needed)} |" for name, place, part, needed in rows
        )
        yield ""
    yield "| answer | |\n|---|---|"
    yield "\n".join(_answers(entry))
    yield ""
    example = EXAMPLES.get(entry["operationId"], Example())
    if example.before:
        yield f"<!-- before: {example.before} -->"
    if example.not_run:
        yield f"<!-- not run: {example.not_run} -->"
    yield fence("bash", _curl(path, method, example))


def _curl(path: str, method: str, example: Example) -> str:
    for name, value in {**PATH, **example.path}.items():
        path = path.replace(f"{{{name}}}", value)
    url = f"{_HOST}{path}" + (f"?{example.query}" if example.query else "")
    mark = '"' if "$" in url else "'" if "?" in url else ""
    quoted = f"{mark}{url}{mark}"
    if method == "get":
        return f"curl {quoted}"
    head = f"curl -X {method.upper()} {quoted}"
    return f"{head} \\\n  -H 'Content-Type: application/json' -d '{example.body}'" if example.body else head


def _answers(entry: Json) -> Iterator[str]:
    for status, answer in entry["responses"].items():
        if _is_success(status):
            content = answer.get("content", {}).get("application/json")
            named = _shown(content["schema"]) if content else "nothing"
            yield f"| {status} | {named} |"
        else:
            yield f"| {status} | {'; '.join(_code(part) for part in answer['description'].split('; '))} |"


def _code(part: str) -> str:
    code, colon, meaning = part.partition(": ")
    return f"`{code}`: {meaning}" if colon and code.isupper() else part


def _shown(schema: Json) -> str:
    name = _referred(schema)
    if name.startswith("PageOf_"):
        inner = name.removeprefix("PageOf_").rstrip("_")
        return f"a page of [{inner}](#{inner.lower()})"
    return f"[{name}](#{name.lower()})" if name else _type(schema)


def _answered(entries: list[tuple[str, str, Json]], schemas: Json) -> list[str]:
    """Return the names of what the operations answer, and of what those hold, as they are met."""
    wanted: list[str] = []
    queue = [
        answer for _, _, entry in entries for status, answer in entry["responses"].items() if int(status) < _REFUSED
    ]
    while queue:
        for name in _references(queue.pop(0)):
            if name not in wanted:
                wanted.append(name)
                queue.append(schemas[name])
    return [name for name in wanted if not name.startswith("PageOf_")]


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "$ref" in value:
            yield _referred(value)
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _references(part)


def _schema(name: str, schemas: Json) -> Iterator[str]:
    schema = schemas[name]
    yield f"### {name}\n"
    yield f"{markdown(schema.get('description', ''), lambda _: '')}\n"
    if "properties" not in schema:
        yield f"{_type(schema)}\n"
        return
    yield "| field | type | |\n|---|---|---|"
    yield "\n".join(
        f"| `{field}` | {_type(part)} | {_described(part)} |" for field, part in schema["properties"].items()
    )
    yield ""


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = _referred(schema)
        return f"`{name}`"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def _described(schema: Json) -> str:
    own = schema.get("description", "")
    return own or next((str(part["description"]) for part in schema.get("anyOf", ()) if "description" in part), "")


def _meaning(schema: Json, needed: bool) -> str:  # noqa: FBT001 - it is one of the schema's own facts
    told = [text for text in (_described(schema), "needed" if needed else "") if text]
    if not needed and schema.get("default") not in (None, "", [], {}):
        told.append(f"default `{json.dumps(schema['default'])}`")
    return ", ".join(told)


def _referred(schema: Json) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _is_success(status: str) -> bool:
    return int(status) < _REFUSED
