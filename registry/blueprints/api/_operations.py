"""Operations: each is declared once, as a function whose signature Flask's route and OpenAPI's entry come from."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from flask import Blueprint, Flask, Response, request
from werkzeug.routing import BaseConverter

from registry.access.actors import Actor
from registry.blueprints._asking import actor
from registry.blueprints._http import Answer, location, not_modified
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import PATH_PARSERS, Body, Query, read_body, read_condition, read_query
from registry.errors import InputInvalid, RegistryError
from registry.names import RepositoryName
from registry.revisions import Condition

T = TypeVar("T")
View = TypeVar("View", bound=Callable[..., object])
_PART = re.compile(r"\{(\w+)\}")
STREAM = "text/event-stream"
_OK, _NO_CONTENT, _NOT_MODIFIED = 200, 204, 304
_NO_QUERY, _NO_BODY = Query, Body


class RepositoryConverter(BaseConverter):
    """A repository's name inside a path: it ends before ``/-/``, as no part of a name is a lone dash."""

    part_isolating = False
    regex = r"(?!-(?:/|$))[^/]+(?:/(?!-(?:/|$))[^/]+)*"


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """An answer with more than a body: the revision of what it shows, and where something is found.

    A ``secret`` one is kept by nobody on its way.
    """

    body: T
    etag: str = ""
    location: str = ""
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on: server-sent events, piece by piece (WHATWG HTML, 9.2)."""

    pieces: Iterator[bytes]


@dataclass(frozen=True)
class Operation:
    """One operation of the API; as Flask's view it reads the input, calls the function and writes the answer."""

    function: Callable[..., object]
    method: str
    path: str
    status: int
    errors: tuple[type[RegistryError], ...]
    path_types: Mapping[str, Any] = field(default_factory=dict)
    query: tuple[str, type[Query]] | None = None
    body: tuple[str, type[Body]] | None = None
    actor: str = ""
    condition: str = ""
    answer: Any = None
    streams: bool = False

    @property
    def name(self) -> str:
        """The name that generated clients use."""
        return self.function.__name__

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def __call__(self, **path: str) -> Response:
        """Answer the current request; who shows wrong credentials hears of nothing else."""
        asking = {self.actor: actor()} if self.actor else {}
        given: dict[str, object] = {name: PATH_PARSERS[self.path_types[name]](text) for name, text in path.items()}
        query, body = read_query(self.query[1] if self.query else _NO_QUERY), self._read_body()
        if self.query is not None:
            given[self.query[0]] = query
        if self.body is not None:
            given[self.body[0]] = body
        if self.condition:
            given[self.condition] = read_condition()
        elif self.method != "GET":
            _refuse_conditions(self.name)
        result = self.function(**asking, **given)
        if isinstance(result, Stream):
            headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            return Answer(result.pieces, headers=headers, content_type=STREAM)
        return self._answer(result if isinstance(result, Reply) else Reply(result))

    def _read_body(self) -> Body | None:
        if self.method == "GET":
            return None
        return read_body(self.body[1] if self.body else None, required=self.body is not None or self.method == "POST")

    def _answer(self, reply: Reply[Any]) -> Response:
        kept = "no-store" if reply.secret else "no-cache"
        headers = {"Cache-Control": kept}
        if reply.location:
            headers["Location"] = location(f"{PREFIX}{reply.location}")
        if reply.body is None:
            return Answer(status=_NO_CONTENT, headers=headers)
        data = msgspec.json.encode(reply.body)
        etag = reply.etag or (hashlib.sha256(data).hexdigest()[:32] if self.method == "GET" else "")
        if etag:
            headers["ETag"] = f'"{etag}"'
        if self.method == "GET" and not_modified(etag):
            return Answer(status=_NOT_MODIFIED, headers=headers)
        return Answer(data, status=self.status, headers=headers, content_type="application/json")


def _refuse_conditions(name: str) -> None:
    """Refuse what would be ignored: a client that makes a condition relies on it."""
    for header in ("If-Match", "If-None-Match"):
        if header in request.headers:
            raise InputInvalid(f"this operation takes no {header}", detail={"operation": name})


def install(app: Flask, blueprints: Iterable[Blueprint]) -> None:
    """Give ``app`` the operations of ``blueprints``."""
    app.url_map.converters["repository"] = RepositoryConverter
    for blueprint in blueprints:
        app.register_blueprint(blueprint)


def operations_of(app: Flask) -> list[Operation]:
    """Return all operations of ``app``."""
    return [view for view in app.view_functions.values() if isinstance(view, Operation)]


def operation(
    blueprint: Blueprint, method: str, path: str, *, status: int = 0, errors: tuple[type[RegistryError], ...] = ()
) -> Callable[[View], View]:
    """Make a function an operation of the API.

    ``path`` is OpenAPI's (``/repositories/{name}``), below ``/api/v1``. The function's parameters say by their
    types what they are: a part of the path (a name in it), a :class:`Query`, a :class:`Body`, the :class:`Actor`,
    or the :class:`Condition` of ``If-Match``; what it returns is a struct, a :class:`Reply` with one, or None. The
    first line of its docstring is the summary. ``status`` is that of success; ``errors`` are those that its own
    doing raises, beside those of any input.
    """

    def declare(function: View) -> View:
        found = _declared(function, method, path, status, errors)
        rule = _PART.sub(lambda part: _flask_part(part[1], found.path_types), path)
        blueprint.add_url_rule(rule, found.name, found, methods=[method])
        return function

    return declare


def _declared(
    function: Callable[..., object], method: str, path: str, status: int, errors: tuple[type[RegistryError], ...]
) -> Operation:
    hints = get_type_hints(function)
    answer = hints.pop("return")
    streams = Stream in get_args(answer)
    if streams:
        (answer,) = (one for one in get_args(answer) if one is not Stream)
    if get_origin(answer) is Reply:
        (answer,) = get_args(answer)
    shown = None if answer is type(None) else answer
    found: dict[str, Any] = {"path_types": {name: hints.pop(name) for name in _PART.findall(path)}}
    for name, kind in hints.items():
        if kind is Actor:
            found["actor"] = name
        elif kind is Condition:
            found["condition"] = name
        elif issubclass(kind, Query):
            found["query"] = (name, kind)
        elif issubclass(kind, Body):
            found["body"] = (name, kind)
        else:
            raise TypeError(f"{function.__name__}: an operation takes no {kind} as {name}")
    status = status or (_NO_CONTENT if shown is None else _OK)
    return Operation(function, method, path, status, errors, answer=shown, streams=streams, **found)


def _flask_part(name: str, types: Mapping[str, Any]) -> str:
    return f"<repository:{name}>" if types[name] is RepositoryName else f"<{name}>"
