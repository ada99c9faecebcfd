"""Requests that no operation of /api/v1 may answer with anything but a refusal, made from its OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

HUGE = "9" * 400
DEEP = b"[" * 100_000
NOT_BODIES = (b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"NaN", DEEP, b'{"a":' * 50_000)
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 2**63, 10**300, "", "\0", "x" * 20_000, "ü/../%00", [], ["\0"], {}, {"a": {"b": []}},
)  # fmt: skip
ODD_TEXTS = ("", "\0", "-1", HUGE, "x" * 6000, "null", "[]", "1e9", "٣", "true", "\ufffd")
ODD_PARTS = ("%00", "A", "..", "%FF", "a" * 300, HUGE, "sha256:zz", "sha256:", "-", "%C3%BC", "a%0Ab", "'", "*")
BAD_MATCHES = ("x", '"', 'W/"a"', '"a', '"a" "b"', '"\x7f"', "\u00ff")
JSON = "application/json"


@dataclass(frozen=True)
class Request:
    """One request; `refused` where nothing but a 4xx is right, else a success is as well."""

    why: str
    path: str
    query: Any = None
    data: bytes | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: bool = True


def fitting(schema: Mapping[str, Any]) -> Any:
    """Return a value that a schema allows, the simplest."""
    if "anyOf" in schema:
        return fitting(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if "default" in schema and schema["default"] is not None:
        return schema["default"]
    kind = schema.get("type", "string")
    values = {"string": "x", "integer": schema.get("minimum", 1), "boolean": False, "array": [], "object": {}}
    return values[kind]


@dataclass(frozen=True)
class Hostile:
    """Odd requests for one operation; `places` are values of path parameters that exist."""

    document: Mapping[str, Any]
    path: str
    method: str
    places: Mapping[str, str]

    @property
    def operation(self) -> Mapping[str, Any]:
        """The operation's entry."""
        found: Mapping[str, Any] = self.document["paths"][self.path][self.method]
        return found

    def url(self, **other: str) -> str:
        """Return the operation's path with its parameters filled in."""
        return "/api/v1" + self.path.format(**{**self.places, **other})

    @property
    def body_schema(self) -> Mapping[str, Any] | None:
        """The schema of the body, if there is one."""
        if "requestBody" not in self.operation:
            return None
        name = self.operation["requestBody"]["content"][JSON]["schema"]["$ref"].rpartition("/")[2]
        found: Mapping[str, Any] = self.document["components"]["schemas"][name]
        return found

    def good_body(self) -> dict[str, Any] | None:
        """Return a body with the fields that must be there."""
        schema = self.body_schema
        if schema is None:
            return {} if self.method == "post" else None
        return {name: fitting(schema["properties"][name]) for name in schema.get("required", ())}

    def requests(self) -> Iterator[Request]:
        """Yield all odd requests."""
        yield from self._paths()
        yield from self._queries()
        if self.method != "get":
            yield from self._bodies()
            yield from self._matches()

    def _good(self) -> dict[str, Any]:
        body = self.good_body()
        return {} if body is None else {"data": json.dumps(body).encode(), "content_type": JSON}

    def _paths(self) -> Iterator[Request]:
        for name in self.places:
            if f"{{{name}}}" in self.path:
                for part in ODD_PARTS:
                    yield Request(f"{name}={part[:20]}", self.url(**{name: part}), **self._good(), refused=False)

    def _queries(self) -> Iterator[Request]:
        url = self.url()
        yield Request("unknown parameter", url, {"unknown_parameter": "1"}, **self._good())
        for parameter in self.operation["parameters"]:
            if parameter["in"] != "query":
                continue
            name = parameter["name"]
            yield Request(f"{name} twice", url, {name: ["1", "1"]}, **self._good())
            yield Request(f"{name} with NUL", url, {name: "a\0"}, **self._good())
            for text in ODD_TEXTS:
                yield Request(f"{name}={text[:20]!r}", url, {name: text}, **self._good(), refused=False)

    def _bodies(self) -> Iterator[Request]:
        url, good = self.url(), self.good_body()
        yield Request("too large", url, data=b" " * (1 << 20) + b"{}", content_type=JSON)
        text = json.dumps(good or {}).encode()
        if good is not None:
            for kind in (None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "\u00ff"):
                yield Request(f"as {kind}", url, data=text, content_type=kind)
        for data in NOT_BODIES:
            # Where no body is needed, none is right.
            refused = bool(data) or self.body_schema is not None
            yield Request(f"body {data[:10]!r}", url, data=data, content_type=JSON, refused=refused)
        for value in ODD_VALUES:
            data = json.dumps({**(good or {}), "unknown_field": value}).encode()
            yield Request(f"unknown field {value!r:.20}", url, data=data, content_type=JSON)
        for name in (self.body_schema or {}).get("properties", {}):
            for value in ODD_VALUES:
                data = json.dumps({**(good or {}), name: value}).encode()
                refused = "\\u0000" in data.decode() or (isinstance(value, int) and not -(2**63) <= value < 2**63)
                yield Request(f"{name}={value!r:.20}", url, data=data, content_type=JSON, refused=refused)
            lone = b'{"' + name.encode() + b'": "\\ud800"}'
            yield Request(f"{name} with half a surrogate", url, data=lone, content_type=JSON)

    def _matches(self) -> Iterator[Request]:
        for text in BAD_MATCHES:
            yield Request(f"If-Match {text!r}", self.url(), headers={"If-Match": text}, **self._good())
        yield Request("If-Match of another revision", self.url(), headers={"If-Match": '"other"'}, **self._good())
