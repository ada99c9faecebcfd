"""Hostile input for the HTTP surface: each generator yields (name, ...) cases, every one to be refused.

Manifests are in tests/formats/corpus.py; here is what reaches a registry around them: paths, headers, sequences of
requests, and bytes on the wire.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

from registry.testing.images import DOCKER, OCI, digest_of, to_json

DATA = b"0123456789" * 10
DIGEST = digest_of(DATA)
UUID = "00000000-0000-4000-8000-000000000000"
_HEX = "a" * 64

BAD_NAMES = (
    "A", "Library/app", "a//b", "a/", "a/./b", "a/../b", "..", ".", "./a", "../a", "-a", "a-", "_a", "a_", ".a", "a.",
    "a..b", "a___b", "a._b", "a-_b", "a/-b", "a%20b", "%20a", "a%20", "a%00", "%00", "a%0A", "a%0D%0Ab", "a%09b",
    "a%2F%2Fb", "%2Fa", "a%2F", "%2e%2e", "%2e%2e%2fa", "..%2f..%2f..%2fetc", "a%2f%2e%2e%2fb", "a%5Cb", "..%5C..%5Ca",
    "%252e%252e", "a%253Ab", "a:b", "a@b", "a~b", "a*b", "a%3Fb", "a%23b", "a%25b", "%E2%80%AEa", "%C3%A9", "%F0%9F%90%B3",
    "%FF", "%C0%AE%C0%AE", "a%EF%BC%8Fb", "%D0%B0", "%EF%BC%A1", "%C4%B1", "a%E2%80%8Bb", "a" * 256, "a/" * 127 + "aa",
    "a%27b", "a%22b", "a%3Cscript%3E", "a%7Bb%7D", "a%7Cb", "a%60id%60", "a$(id)", "a;b", "a&b", "a=b", "a+b", "a,b", "a!b",
    "%00etc%2fpasswd", "file:%2f%2f%2fetc%2fpasswd", "http:%2f%2f127.0.0.1%2f", "C:%5Cwindows", "a%E2%80%A8b", "a%7Fb", "a%1Bb",
)  # fmt: skip
BAD_DIGESTS = (
    "sha256", "sha256:", ":", f":{_HEX}", "sha256:x", f"sha256:{_HEX[1:]}", f"sha256:{_HEX}a", f"sha256:{_HEX[1:]}G",
    f"sha256:{'A' * 64}", f"SHA256:{_HEX}", f"sha256::{_HEX}", f"sha256%3A%3A{_HEX}", f"sha256:{_HEX}%0A", f"%20sha256:{_HEX}",
    f"sha256:{_HEX}%20", f"sha256:{_HEX}%00", f"sha512:{_HEX}", "sha512:" + "a" * 127, "sha512:" + "a" * 129, "md5:" + "a" * 32,
    "sha1:" + "a" * 40, f"sha384:{'a' * 96}", f"sha3-256:{_HEX}", f"blake3:{_HEX}", f"sha256+b64:{_HEX}", f"sha256.{_HEX}:a",
    "sha256:..%2f..%2fetc%2fpasswd", "sha256:%2e%2e%2f%2e%2e", "..%2f..%2fetc%2fpasswd", "sha256:" + "%EF%BC%91" * 64,
    "sha256:" + "%D9%A1" * 64, f"sha256:{_HEX[:32]}%00{_HEX[:31]}", "sha256:" + "a" * 5000, f"shake128:{_HEX}", f"sha256:{_HEX}:x",
    f"sha256:{_HEX}@sha256:{_HEX}", f"sha256-{_HEX}:", f"+sha256:{_HEX}", f"sha256+:{_HEX}", "%FF:%FF", f"sha256:{_HEX[:-1]}%C3%A9",
    "uploads%2f..:x", "a:b", "sha256:%25", f"sha256:0x{_HEX[2:]}",
)  # fmt: skip
BAD_TAGS = (
    "-a", ".a", "..", ".", "a%20b", "%20a", "a%0A", "%0Aa", "a%00", "%00", "a%2Fb", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a" * 129,
    "a+b", "a~b", "a@b", "a$b", "a%25b", "%C3%A9", "%F0%9F%90%B3", "%FF", "a%5Cb", "a*", "a%3Fb", "a%23b", "a,b", "a;b", "a=b", "a&b",
    "%3Cscript%3E", "a%27", "a%22b", "a%60", "%E2%80%AE", "%D9%A1", "%EF%BC%A1", "a%7F", "a%1B[0m", "a|b", "a(b)", "a{b}", "a!b",
    "%252e%252e", "%E2%80%8Ba",
)  # fmt: skip
BAD_UUIDS = (
    "x", "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", UUID.replace("-", ""), UUID.upper().replace("0", "A"), f"{UUID}0", UUID[:-1],
    f"{{{UUID}}}", f"urn:uuid:{UUID}", f"{UUID}%00", f"{UUID}%0A", f"%20{UUID}", f"{UUID}%20", UUID.replace("-", "%2f"), "a" * 36,
    "-" * 36, UUID.replace("0", "%D9%A0"), "%EF%BC%90" * 36, "1%20or%201=1", "%27%20or%20%27%27=%27", "*", "%25", "%FF", UUID, "0", "-1",
    UUID.replace("-", "_"), f"../{UUID}".replace("/", "%2f"), f"{UUID}%2f..%2f{UUID}", "%3Cscript%3E", "%F0%9F%90%B3", "null", "None",
)  # fmt: skip

Path = tuple[str, str, str]


def encodings() -> Iterator[Path]:
    """Yield (name, method, target) with a name, digest, tag or uuid that is none."""
    for bad in BAD_NAMES:
        yield f"name {bad[:40]}", "GET", f"/v2/{bad}/tags/list"
        yield f"name in manifest {bad[:40]}", "GET", f"/v2/{bad}/manifests/latest"
        yield f"name in upload {bad[:40]}", "POST", f"/v2/{bad}/blobs/uploads/"
    for bad in BAD_DIGESTS:
        yield f"blob {bad[:40]}", "GET", f"/v2/a/b/blobs/{bad}"
        yield f"referrers {bad[:40]}", "GET", f"/v2/a/b/referrers/{bad}"
        yield f"post {bad[:40]}", "POST", f"/v2/a/b/blobs/uploads/?digest={bad.replace('+', '%2B')}"
        yield f"mount {bad[:40]}", "POST", f"/v2/a/b/blobs/uploads/?mount={bad.replace('+', '%2B')}"
    for bad in BAD_TAGS:
        yield f"tag {bad[:40]}", "GET", f"/v2/a/b/manifests/{bad}"
        yield f"put tag {bad[:40]}", "PUT", f"/v2/a/b/manifests/{bad}"
        yield f"delete tag {bad[:40]}", "DELETE", f"/v2/a/b/manifests/{bad}"
    for bad in BAD_UUIDS:
        for method in ("GET", "PATCH", "DELETE"):
            yield f"{method} uuid {bad[:40]}", method, f"/v2/a/b/blobs/uploads/{bad}"
        yield f"put uuid {bad[:40]}", "PUT", f"/v2/a/b/blobs/uploads/{bad}?digest={DIGEST}"


@dataclass(frozen=True)
class Step:
    """One request; `{upload}` in the path is the location of the upload that the case opened."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False


Sequence = tuple[str, list[Step]]
_BAD_RANGES = (
    "x", "", "-", "0", "0-", "-99", "99-0", "1-100", "100-199", "0-98", "0-100", "bytes=0-99", "bytes 0-99/x", "bytes */100", "-1-98",
    "0-99,100-199", "0x0-0x63", "0-9e1", "0 - 99", "+0-99", "0--99", "9" * 19 + "-" + "9" * 19, "9" * 18 + "-" + "9" * 18,
    "bytes 0-99 /100", "items 0-99", "\xb2-99", "NaN-99", "0-99/100/100", "0-99;", "00-99a",
)  # fmt: skip
_BAD_HINTS = (
    "md5",
    "sha1",
    "sha3-256",
    "shake_128",
    "SHA256",
    " sha256",
    "sha256\0",
    "../sha256",
    "x" * 5000,
    "sha-256",
    "blake2b",
    "é",
)
_OTHER = digest_of(b"other")
_WRONG = (
    _OTHER,
    digest_of(b"other", "sha512"),
    digest_of(b""),
    "sha256:x",
    "",
    "md5:" + "a" * 32,
    "../../etc/passwd",
    "\0",
)


_UPLOAD = "{upload}"
_WHOLE = Step("PATCH", _UPLOAD, DATA)


def sequences() -> Iterator[Sequence]:
    """Yield (name, requests) of uploads: the last request of each is to be refused, those before it are good."""
    yield from _bad_ranges()
    yield from _bad_digests()
    yield from _bad_turns()
    yield from _bad_headers()


def _bad_ranges() -> Iterator[Sequence]:
    upload, whole = _UPLOAD, _WHOLE
    for method, text in product(("PATCH", "PUT"), _BAD_RANGES):
        query = f"?digest={DIGEST}" if method == "PUT" else ""
        yield (
            f"{method} with Content-Range {text[:30]!r}",
            [Step(method, upload + query, DATA, {"Content-Range": text})],
        )
    for text in ("0-99", "99-198", "101-200", "1000000-1000099"):
        yield f"second chunk at {text}", [whole, Step("PATCH", upload, DATA, {"Content-Range": text})]
        yield f"last chunk at {text}", [whole, Step("PUT", f"{upload}?digest={DIGEST}", DATA, {"Content-Range": text})]
        yield f"stream at {text}", [whole, Step("PATCH", upload, DATA, {"Content-Range": text}, chunked=True)]


def _bad_digests() -> Iterator[Sequence]:
    upload, whole = _UPLOAD, _WHOLE
    for hint in _BAD_HINTS:
        yield f"hint {hint[:30]!r}", [Step("POST", f"/v2/a/b/blobs/uploads/?digest-algorithm={_quoted(hint)}")]
    for wrong in _WRONG:
        name, query = repr(wrong[:30]), f"?digest={_quoted(wrong)}"
        yield f"post {name}", [Step("POST", f"/v2/a/b/blobs/uploads/{query}", DATA)]
        yield f"chunked post {name}", [Step("POST", f"/v2/a/b/blobs/uploads/{query}", DATA, chunked=True)]
        yield f"put {name}", [Step("PUT", upload + query, DATA)]
        yield f"chunked put {name}", [Step("PUT", upload + query, DATA, chunked=True)]
        yield f"patch, put {name}", [whole, Step("PUT", upload + query)]
        yield f"patch, put the rest {name}", [whole, Step("PUT", upload + query, DATA)]


def _bad_turns() -> Iterator[Sequence]:
    upload = _UPLOAD
    done = Step("PUT", f"{upload}?digest={DIGEST}", DATA)
    gone = Step("DELETE", upload)
    for before, last in product(("committed", "cancelled"), ("GET", "PATCH", "PUT", "DELETE")):
        query = f"?digest={DIGEST}" if last == "PUT" else ""
        yield (
            f"{last} after it was {before}",
            [done if before == "committed" else gone, Step(last, upload + query, b"x")],
        )
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        query = f"?digest={DIGEST}" if method == "PUT" else ""
        yield f"{method} in another repository", [Step(method, upload.replace("{", "{other ") + query, b"")]
    yield "put without a digest", [_WHOLE, Step("PUT", upload)]
    yield "post to an upload", [Step("POST", upload)]


def _bad_headers() -> Iterator[Sequence]:
    upload = _UPLOAD
    done = Step("PUT", f"{upload}?digest={DIGEST}", DATA)
    for length in ("1", "99", "101", "x", "-1", "1e2", "100, 100", "", "0x64", "\xb2"):
        headers = {"Content-Length": length}
        if length not in {"1", "99", ""}:  # a shorter length is a shorter body, whose digest is another
            yield f"patch with Content-Length {length!r}", [Step("PATCH", upload, DATA, headers)]
        yield f"put with Content-Length {length!r}", [Step("PUT", f"{upload}?digest={DIGEST}", DATA, headers)]
    for coding in ("gzip", "gzip, chunked", "identity", "chunked, identity", "\x0bchunked", "chunked;q=1"):
        yield f"coding {coding!r}", [Step("PATCH", upload, DATA, {"Transfer-Encoding": coding})]
    for mount, source in (
        ("x", "a"),
        (DIGEST, "../a"),
        (DIGEST, "A"),
        (DIGEST, "a" * 256),
        (DIGEST, "\0"),
        ("", "a"),
        ("\0", ""),
    ):
        query = f"?mount={_quoted(mount)}&from={_quoted(source)}"
        yield f"mount {mount[:9]!r} from {source[:9]!r}", [Step("POST", f"/v2/a/b/blobs/uploads/{query}")]
    for text in ("bytes=100-", "bytes=5-1", "bytes=-0", "bytes=x", "bytes=" + "9" * 19 + "-", "bytes=--1"):
        yield f"Range {text}", [done, Step("GET", f"/v2/a/b/blobs/{DIGEST}", headers={"Range": text})]


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


Body = tuple[str, str, str, bytes]


def bodies() -> Iterator[Body]:
    """Yield (name, reference, media type, body) of manifest pushes that only a registry can refuse."""
    blob: dict[str, object] = {"mediaType": "application/octet-stream", "digest": DIGEST, "size": len(DATA)}
    changes: list[dict[str, object]] = [
        {"size": 99},
        {"size": 2**62},
        {"digest": _OTHER},
        {"digest": digest_of(DATA, "sha512")},
    ]
    for flavour, change in product((OCI, DOCKER), changes):
        image = {"schemaVersion": 2, "mediaType": flavour.manifest, "config": {**blob, **change}, "layers": [blob]}
        yield f"{flavour.name} config {change}", "v1", flavour.manifest, to_json(image)
        layers = {**image, "config": blob, "layers": [{**blob, **change}]}
        yield f"{flavour.name} layer {change}", "v1", flavour.manifest, to_json(layers)
        child = {**blob, "mediaType": flavour.manifest, **change}
        index = {"schemaVersion": 2, "mediaType": flavour.index, "manifests": [child]}
        yield f"{flavour.name} child {change}", "v1", flavour.index, to_json(index)
        twice = {"schemaVersion": 2, "mediaType": flavour.index, "manifests": [blob, {**blob, **change}]}
        yield f"{flavour.name} cache entry again {change}", "v1", flavour.index, to_json(twice)
    empty = to_json({"schemaVersion": 2, "mediaType": OCI.index, "manifests": []})
    for wrong in (DIGEST, digest_of(empty, "sha512")[:-1] + "g", digest_of(empty).upper(), digest_of(b"", "sha512")):
        yield f"digest {wrong[:30]}", wrong, OCI.index, empty
    types = (
        "",
        "x",
        "text/html",
        "application/json",
        OCI.index + "x",
        "*/*",
        OCI.manifest,
        DOCKER.index,
        "application/" + "x" * 5000,
    )
    for media_type in types:
        yield f"type {media_type[:40]!r}", "v1", media_type, empty
    for text in (
        b"",
        b"\0",
        b"<html>",
        b"\x1f\x8b\x08",
        b"[" * 100_000,
        b"1" * 100_000,
        b'"' + b"\xff" * 9 + b'"',
        b"\xef\xbb\xbf" + empty,
    ):
        yield f"body {text[:12]!r}", "v1", OCI.index, text
