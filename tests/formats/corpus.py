"""Hostile manifests: every one must be refused, by the format and through the API.

Each function yields (name, media type, payload). A case is a good document with one thing wrong, so that nothing
but that thing can be the reason for its refusal; `good()` gives the documents, and tests show that they pass.
"""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Case = tuple[str, str, bytes]
Document = dict[str, Any]

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
SCHEMA2 = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
UNSIGNED = "application/vnd.docker.distribution.manifest.v1+json"
MEDIA_TYPES = (OCI_IMAGE, OCI_INDEX, SCHEMA2, LIST, SIGNED, UNSIGNED)

GOLDEN = Path(__file__).parent / "golden"
_SHA = "sha256:" + "a" * 64
_CONFIGS = {
    OCI_IMAGE: "application/vnd.oci.image.config.v1+json",
    SCHEMA2: "application/vnd.docker.container.image.v1+json",
}
_LAYERS = {
    OCI_IMAGE: "application/vnd.oci.image.layer.v1.tar+gzip",
    SCHEMA2: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
_SHORT = {OCI_IMAGE: "oci", SCHEMA2: "schema2", OCI_INDEX: "index", LIST: "list", SIGNED: "signed", UNSIGNED: "schema1"}


def encode(document: object) -> bytes:
    return json.dumps(document).encode()


def good(media_type: str) -> Document:
    """Return a document of this type that every format rule accepts."""
    if media_type in _CONFIGS:
        return {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": _CONFIGS[media_type], "digest": _SHA, "size": 2},
            "layers": [
                {"mediaType": _LAYERS[media_type], "digest": "sha256:" + "b" * 64, "size": 3},
                {"mediaType": _LAYERS[media_type], "digest": "sha256:" + "c" * 64, "size": 4},
            ],
            "annotations": {"org.example.a": "b"},
        }
    if media_type in {OCI_INDEX, LIST}:
        child = OCI_IMAGE if media_type == OCI_INDEX else SCHEMA2
        platform = {"os": "linux", "architecture": "amd64"}
        return {
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": [
                {"mediaType": child, "digest": _SHA, "size": 2, "platform": platform},
                {"mediaType": child, "digest": "sha256:" + "b" * 64, "size": 3, "platform": dict(platform)},
            ],
            "annotations": {"org.example.a": "b"},
        }
    name = "signed-p256.json" if media_type == SIGNED else "unsigned.json"
    return dict(json.loads((GOLDEN / name).read_bytes()))


def payload_of(media_type: str) -> bytes:
    """Return the bytes of `good`: for the signed type those that were signed."""
    return (GOLDEN / "signed-p256.json").read_bytes() if media_type == SIGNED else encode(good(media_type))


def changed(media_type: str, path: str, value: object) -> bytes:
    """Return the good document with one value set; `path` is like `layers.0.size`."""
    document = copy.deepcopy(good(media_type))
    holder, last = _walk(document, path)
    holder[last] = value
    return encode(document)


def without(media_type: str, path: str) -> bytes:
    document = copy.deepcopy(good(media_type))
    holder, last = _walk(document, path)
    del holder[last]
    return encode(document)


def renamed(media_type: str, path: str, name: str) -> bytes:
    """Return the good document with one key spelled otherwise."""
    document = copy.deepcopy(good(media_type))
    holder, last = _walk(document, path)
    holder[name] = holder.pop(last)
    return encode(document)


def beside(media_type: str, path: str, name: str) -> bytes:
    """Return the good document with one key there a second time, in another spelling."""
    document = copy.deepcopy(good(media_type))
    holder, last = _walk(document, path)
    holder[name] = holder[last]
    return encode(document)


def _walk(document: Document, path: str) -> tuple[Any, Any]:
    holder: Any = document
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        holder = holder[step]
    return holder, last


def broken_json() -> Iterator[Case]:
    """Texts that are no JSON object, or that two parsers may read differently."""
    deep = b'{"a":' * 33 + b"1" + b"}" * 33
    raw = {
        "empty": b"",
        "blank": b"  \n",
        "null": b"null",
        "list": b"[]",
        "string": b'"manifest"',
        "number": b"2",
        "cut": b'{"schemaVersion": 2',
        "text after": b"{} {}",
        "comment": b"{/* */}",
        "trailing comma": b'{"schemaVersion": 2,}',
        "single quotes": b"{'schemaVersion': 2}",
        "no UTF-8": b'{"a": "\xff"}',
        "overlong UTF-8": b'{"a": "\xc0\xaf"}',
        "encoded surrogate": b'{"a": "\xed\xa0\x80"}',
        "UTF-16": '{"schemaVersion": 2}'.encode("utf-16"),
        "byte order mark": b'\xef\xbb\xbf{"schemaVersion": 2}',
        "deep": deep,
        "deep list": b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        "very deep": b"[" * 100_000,
        "control character": b'{"a": "\x00"}',
        "html": b"<html></html>",
    }
    for name, payload in raw.items():
        yield f"json: {name}", OCI_IMAGE, payload
    inserted = {
        "duplicate key": '"schemaVersion": 2',
        "duplicate inner key": '"x": {"y": 1, "y": 2}',
        "NaN": '"x": NaN',
        "Infinity": '"x": Infinity',
        "-Infinity": '"x": -Infinity',
        "2^63": '"x": 9223372036854775808',
        "-2^63-1": '"x": -9223372036854775809',
        "10^400": f'"x": 1{"0" * 400}',
        "1e999": '"x": 1e999',
        "lone surrogate": r'"x": "\ud800"',
        "lone surrogate key": r'"\udc00": 1',
        "bad escape": r'"x": "\q"',
        "hex number": '"x": 0x10',
        "leading zero": '"x": 010',
    }
    for name, text in inserted.items():
        for media_type in (OCI_IMAGE, LIST, UNSIGNED):
            body = encode(good(media_type))
            yield f"json: {name} in {_SHORT[media_type]}", media_type, body[:-1] + f", {text}}}".encode()


def broken_heads() -> Iterator[Case]:
    """What is wrong at the top of schema 2 documents."""
    for media_type in (OCI_IMAGE, SCHEMA2, OCI_INDEX, LIST):
        short = _SHORT[media_type]
        for value in (1, 3, "2", True, None, 2.0, [2], -2):
            yield f"{short}: schemaVersion {value!r}", media_type, changed(media_type, "schemaVersion", value)
        yield f"{short}: no schemaVersion", media_type, without(media_type, "schemaVersion")
        other = SCHEMA2 if media_type == OCI_IMAGE else OCI_IMAGE
        for value in (other, "", None, 2, media_type.upper(), f"{media_type}; charset=utf-8"):
            yield f"{short}: mediaType {value!r}", media_type, changed(media_type, "mediaType", value)
        for value in (
            "x",
            [],
            {"a": 1},
            {"a": None},
            {"a": ["b"]},
            {"a": {"b": "c"}},
            {"a": True},
            {"a": "\0"},
            {"\0": "a"},
        ):
            yield f"{short}: annotations {value!r}", media_type, changed(media_type, "annotations", value)
        for value in (None, "x", [], {}, {"digest": _SHA}, {"mediaType": OCI_IMAGE, "digest": _SHA, "size": -1}):
            yield f"{short}: subject {value!r}", media_type, changed(media_type, "subject", value)
        for value in (None, "", 3, "no-type", "text/", "a b/c"):
            yield f"{short}: artifactType {value!r}", media_type, changed(media_type, "artifactType", value)
    for media_type in (SCHEMA2, LIST):
        yield f"{_SHORT[media_type]}: no mediaType", media_type, without(media_type, "mediaType")


def hybrids() -> Iterator[Case]:
    """Documents of two kinds at once (CVE-2021-41190)."""
    image, index, old = good(OCI_IMAGE), good(OCI_INDEX), good(UNSIGNED)
    for media_type in (OCI_IMAGE, SCHEMA2):
        short = _SHORT[media_type]
        for field, value in (
            ("manifests", index["manifests"]),
            ("manifests", []),
            ("manifests", None),
            ("fsLayers", old["fsLayers"]),
            ("history", old["history"]),
            ("signatures", []),
        ):
            yield f"{short}: with {field} {str(value)[:8]}", media_type, changed(media_type, field, value)
        yield f"{short}: an index's body", media_type, encode(index | {"mediaType": media_type})
        yield f"{short}: schema 1's body", media_type, encode(old)
    for media_type in (OCI_INDEX, LIST):
        short = _SHORT[media_type]
        for field, value in (
            ("layers", image["layers"]),
            ("layers", []),
            ("layers", None),
            ("config", image["config"]),
            ("config", None),
            ("fsLayers", old["fsLayers"]),
        ):
            yield f"{short}: with {field} {str(value)[:8]}", media_type, changed(media_type, field, value)
        yield f"{short}: an image's body", media_type, encode(image | {"mediaType": media_type})
    for field in ("config", "layers", "manifests"):
        yield f"schema1: with {field}", UNSIGNED, changed(UNSIGNED, field, [])
    yield "schema1: an image's body", UNSIGNED, encode(image | {"mediaType": UNSIGNED})


def broken_descriptors() -> Iterator[Case]:
    """What is wrong in a descriptor, in each place that has one."""
    places = ((OCI_IMAGE, "config"), (SCHEMA2, "layers.1"), (OCI_INDEX, "manifests.1"))
    bad: tuple[tuple[str, object], ...] = (
        *(("size", value) for value in (-1, "3", None, True, 1.0, 1.5, [], 2**63)),
        *(("digest", value) for value in (None, "", 7, "a" * 64, "sha256:", "sha256:" + "a" * 63)),
        *(("digest", value) for value in ("sha256:" + "A" * 64, "sha256:" + "g" * 64, "sha256:" + "a" * 65)),
        *(("digest", value) for value in ("md5:" + "a" * 32, "sha512:" + "a" * 64, "SHA256:" + "a" * 64)),
        *(("digest", value) for value in (_SHA + "\n", " " + _SHA, "sha256:../../../etc/passwd", [_SHA])),
        *(("mediaType", value) for value in (None, "", 1, "plain", "text/ plain", "text/plain\n", "a/" + "b" * 300)),
        *(("urls", value) for value in ("https://example.com", [1], {}, [None])),
        *(("annotations", value) for value in ([], {"a": 1}, {"a": None})),
        *(("artifactType", value) for value in (1, "nothing", None)),
        *(("platform", value) for value in ("linux", {}, {"os": "linux"}, {"os": 1, "architecture": "amd64"})),
        ("platform", {"os": "linux", "architecture": "amd64", "os.features": "win32k"}),
        ("platform", {"os": "linux", "architecture": "amd64", "variant": 7}),
        ("platform", {"OS": "linux", "architecture": "amd64"}),
        *(("data", value) for value in (1, "!!", "e30", "e30=", "e31=", "aGVsbG8=")),
    )
    for media_type, place in places:
        for number, (field, value) in enumerate(bad):
            name = f"{_SHORT[media_type]}: {place}.{field} {str(value)[:40]!r} ({number})"
            yield name, media_type, changed(media_type, f"{place}.{field}", value)
        for field in ("mediaType", "digest", "size"):
            yield f"{_SHORT[media_type]}: {place} has no {field}", media_type, without(media_type, f"{place}.{field}")
        for value in (None, "x", 1, [], [_SHA]):
            yield f"{_SHORT[media_type]}: {place} is {value!r}", media_type, changed(media_type, place, value)


def broken_bodies() -> Iterator[Case]:
    """What is wrong in the lists that make an image or an index."""
    for media_type, field in (
        (OCI_IMAGE, "layers"),
        (SCHEMA2, "layers"),
        (OCI_INDEX, "manifests"),
        (LIST, "manifests"),
    ):
        for value in (None, {}, "x", 1, [[]], [None], [{}]):
            yield f"{_SHORT[media_type]}: {field} {value!r}", media_type, changed(media_type, field, value)
        yield f"{_SHORT[media_type]}: no {field}", media_type, without(media_type, field)
    for media_type in (OCI_IMAGE, SCHEMA2):
        yield f"{_SHORT[media_type]}: no config", media_type, without(media_type, "config")
        document = good(media_type)
        for layer in document["layers"]:
            layer["size"] = 2**62
        yield f"{_SHORT[media_type]}: sizes beyond 64 bits in total", media_type, encode(document)


def other_spellings() -> Iterator[Case]:
    """Keys that Go's decoder takes for the field they resemble."""
    spelled: dict[str, tuple[str, ...]] = {
        OCI_IMAGE: (
            "schemaVersion",
            "mediaType",
            "config",
            "layers",
            "annotations",
            "layers.0.digest",
            "layers.0.size",
        ),
        OCI_INDEX: ("manifests", "manifests.0.mediaType", "manifests.0.platform", "manifests.0.platform.os"),
        LIST: ("manifests", "manifests.1.digest"),
        UNSIGNED: ("fsLayers", "history", "fsLayers.0.blobSum", "history.0.v1Compatibility", "name", "tag"),
    }
    styles: tuple[Callable[[str], str], ...] = (str.upper, lambda name: name[0].upper() + name[1:])
    for media_type, paths in spelled.items():
        for path in paths:
            field = path.rpartition(".")[2]
            for name in sorted({style(field) for style in styles} - {field}):
                yield f"{_SHORT[media_type]}: {path} as {name}", media_type, renamed(media_type, path, name)
                yield f"{_SHORT[media_type]}: {path} and {name}", media_type, beside(media_type, path, name)
    yield "oci: layers and a long s", OCI_IMAGE, beside(OCI_IMAGE, "layers", "layer\u017f")
    yield "index: a stray Layers", OCI_INDEX, changed(OCI_INDEX, "Layers", [])
    yield "oci: a stray Manifests", OCI_IMAGE, changed(OCI_IMAGE, "Manifests", [])


def broken_schema1() -> Iterator[Case]:
    """What is wrong in an unsigned schema 1 manifest."""
    for path, values in {
        "schemaVersion": (2, "1", True, None, 1.0),
        "name": (None, 1, []),
        "tag": (None, 1),
        "architecture": (1, []),
        "mediaType": (SCHEMA2, SIGNED, None),
        "fsLayers": (None, [], {}, "x", [{"blobSum": _SHA}], [None, None]),
        "history": (None, [], {}, [None, None], [{}, {}]),
        "fsLayers.0": (None, "x", {}, {"blobSum": "x"}, {"blobSum": None}),
        "history.0": (None, "x", {}, {"v1Compatibility": {}}, {"v1Compatibility": ""}),
        "signatures": ([], None),
    }.items():
        for value in values:
            yield f"schema1: {path} {value!r}"[:90], UNSIGNED, changed(UNSIGNED, path, value)
    for path in ("schemaVersion", "name", "tag", "fsLayers", "history"):
        yield f"schema1: no {path}", UNSIGNED, without(UNSIGNED, path)
    yield "schema1: nothing in it", UNSIGNED, encode(good(UNSIGNED) | {"fsLayers": [], "history": []})
    base = json.loads(good(UNSIGNED)["history"][1]["v1Compatibility"])
    leaf = json.loads(good(UNSIGNED)["history"][0]["v1Compatibility"])
    for name, entry, change in (
        ("no id", 1, {"id": None}),
        ("short id", 1, {"id": "1" * 63}),
        ("upper-case id", 1, {"id": "A" * 64}),
        ("id with newline", 1, {"id": "1" * 64 + "\n"}),
        ("number as id", 1, {"id": 1}),
        ("base with a parent", 1, {"parent": "3" * 64}),
        ("parent is no text", 0, {"parent": 1}),
        ("no parent", 0, {"parent": None}),
        ("another parent", 0, {"parent": "3" * 64}),
        ("same id twice", 0, {"id": "1" * 64}),
        ("throwaway is no flag", 0, {"throwaway": "yes"}),
        ("labels are no texts", 0, {"config": {"Labels": {"a": 1}}}),
        ("labels are a list", 0, {"config": {"Labels": ["a"]}}),
        ("config is a list", 0, {"config": []}),
        ("Cmd is a text", 1, {"container_config": {"Cmd": "sh"}}),
        ("created is a number", 1, {"created": 0}),
        ("NUL in a comment", 1, {"comment": "a\0b"}),
        ("NUL in a command", 1, {"container_config": {"Cmd": ["\0"]}}),
        ("NUL in a label", 0, {"config": {"Labels": {"a": "\0"}}}),
        ("ID in capitals too", 1, {"ID": "1" * 64}),
    ):
        text = json.dumps((leaf, base)[entry] | change)
        yield f"schema1: {name}", UNSIGNED, changed(UNSIGNED, f"history.{entry}.v1Compatibility", text)
    for name, text in (("is a list", "[]"), ("has a key twice", '{"id":"1","id":"2"}'), ("has NaN", '{"id":NaN}')):
        yield f"schema1: entry {name}", UNSIGNED, changed(UNSIGNED, "history.1.v1Compatibility", text)


def forged_signatures() -> Iterator[Case]:
    """Signed schema 1 whose signature does not hold. Each is rebuilt from a real one, so the bytes signed stay."""
    text = (GOLDEN / "signed-p256.json").read_bytes()
    signatures = json.loads(text)["signatures"]
    head = text[: text.rindex(b',\n   "signatures"')]

    def attached(value: object) -> bytes:
        return head + b',"signatures":' + encode(value) + b"}"

    def with_header(**fields: object) -> bytes:
        return attached([signatures[0] | {"header": signatures[0]["header"] | fields}])

    def with_jwk(**fields: object) -> bytes:
        return with_header(jwk=signatures[0]["header"]["jwk"] | fields)

    other = json.loads((GOLDEN / "signed-p384.json").read_bytes())["signatures"][0]
    rsa = json.loads((GOLDEN / "signed-rsa.json").read_bytes())["signatures"][0]
    compact = json.loads((GOLDEN / "signed-compact.json").read_bytes())["signatures"][0]
    first = signatures[0]
    octet = {"kty": "oct", "k": "AAAA"}
    cases: dict[str, bytes] = {
        "none": head + b"}",
        "empty list": attached([]),
        "null": attached(None),
        "an object": attached(first),
        "an entry that is a text": attached(["x"]),
        "nine signatures": attached([first] * 9),
        "no header": attached([{key: first[key] for key in ("signature", "protected")}]),
        "no protected header": attached([{key: first[key] for key in ("signature", "header")}]),
        "no signature": attached([{key: first[key] for key in ("protected", "header")}]),
        "empty signature": attached([first | {"signature": ""}]),
        "signature of zeros": attached([first | {"signature": "A" * 86}]),
        "signature of another key": attached([first | {"signature": other["signature"]}]),
        "signature of other text": attached([compact]),
        "one good, one bad": attached([first, first | {"signature": "A" * 86}]),
        "one good, one of other text": attached([first, compact]),
        "padded base64": attached([first | {"signature": first["signature"] + "=="}]),
        "plain base64": attached([first | {"signature": "+/" + first["signature"][2:]}]),
        "alg none": with_header(alg="none"),
        "alg HS256": with_header(alg="HS256"),
        "alg of another curve": with_header(alg="ES384"),
        "alg of RSA": with_header(alg="RS256"),
        "alg missing": attached([first | {"header": {"jwk": first["header"]["jwk"]}}]),
        "alg as list": with_header(alg=["ES256"]),
        "symmetric key": with_header(alg="HS256", jwk=octet),
        "symmetric key, alg kept": with_header(jwk=octet),
        "no key": attached([first | {"header": {"alg": "ES256"}}]),
        "key as text": with_header(jwk="key"),
        "key by address": attached([first | {"header": {"alg": "ES256", "jku": "https://example.com"}}]),
        "another key": with_header(jwk=other["header"]["jwk"]),
        "another kind of key": with_header(alg="RS256", jwk=rsa["header"]["jwk"]),
        "curve unknown": with_jwk(crv="P-192"),
        "curve secp256k1": with_jwk(crv="secp256k1"),
        "point off the curve": with_jwk(x="AAAA"),
        "point at zero": with_jwk(x="AA", y="AA"),
        "private key": with_jwk(d="AAAA"),
        "key type unknown": with_jwk(kty="OKP"),
        "key type in other case": with_jwk(kty="ec"),
        "tiny RSA": with_header(alg="RS256", jwk={"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        "RSA exponent 1": with_header(alg="RS256", jwk=rsa["header"]["jwk"] | {"e": "AQ"}),
        "huge RSA": with_header(alg="RS256", jwk={"kty": "RSA", "n": "_" * 4000, "e": "AQAB"}),
        "protected is no base64": attached([first | {"protected": "!"}]),
        "protected is no JSON": attached([first | {"protected": "AAAA"}]),
        "Header in capitals": attached([first | {"Header": first["header"]}]),
        "text changed": text.replace(b"moorage/golden", b"moorage/forged"),
        "text added": text.replace(b'   "signatures"', b'   "extra": true,\n   "signatures"'),
        "blank added": text.replace(b'"tag": "1"', b'"tag":  "1"'),
        "unsigned type's body": (GOLDEN / "unsigned.json").read_bytes(),
        "a list's body": encode(good(LIST)),
    }
    for name, payload in cases.items():
        yield f"signed: {name}", SIGNED, payload


def hostile() -> Iterator[Case]:
    """Yield every case."""
    for family in (
        broken_json,
        broken_heads,
        hybrids,
        broken_descriptors,
        broken_bodies,
        other_spellings,
        broken_schema1,
        forged_signatures,
    ):
        yield from family()
