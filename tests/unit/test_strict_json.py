"""The JSON decoder takes what all parsers read alike, and refuses the rest."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import ManifestInvalid
from registry.hooks.strict_json import MAX_DEPTH, decode_object

REFUSED = {
    "nothing": (b"", "not JSON"),
    "spaces": (b" \n", "not JSON"),
    "a list": (b"[]", "not a JSON object"),
    "a text": (b'"x"', "not a JSON object"),
    "a number": (b"1", "not a JSON object"),
    "null": (b"null", "not a JSON object"),
    "true": (b"true", "not a JSON object"),
    "NaN alone": (b"NaN", "NaN"),
    "cut off": (b'{"a": 1', "not JSON"),
    "text after": (b"{} x", "not JSON"),
    "two objects": (b"{}{}", "not JSON"),
    "trailing comma": (b'{"a": 1,}', "not JSON"),
    "single quotes": (b"{'a': 1}", "not JSON"),
    "bare key": (b"{a: 1}", "not JSON"),
    "a comment": (b"{/**/}", "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not JSON"),
    "a no-break space": ("{\u00a0}".encode(), "not JSON"),
    "UTF-16": ("{}".encode("utf-16-le"), "not JSON"),
    "UTF-16 with mark": ("{}".encode("utf-16"), "not UTF-8"),
    "Latin-1": ('{"a": "é"}'.encode("latin-1"), "not UTF-8"),
    "overlong": (b'{"a": "\xc0\x80"}', "not UTF-8"),
    "cut UTF-8": (b'{"a": "\xe2\x82"}', "not UTF-8"),
    "raw surrogate": (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
    "beyond Unicode": (b'{"a": "\xf4\x90\x80\x80"}', "not UTF-8"),
    "lone high surrogate": (rb'{"a": "\ud800"}', "surrogate"),
    "lone low surrogate": (rb'{"a": "\udfff"}', "surrogate"),
    "surrogates reversed": (rb'{"a": "\udc00\ud800"}', "surrogate"),
    "surrogate as key": (rb'{"\ud800": 1}', "surrogate"),
    "surrogate deep inside": (rb'{"a": [{"b": "\uD83D"}]}', "surrogate"),
    "raw newline in a text": (b'{"a": "\n"}', "not JSON"),
    "raw zero in a text": (b'{"a": "\x00"}', "not JSON"),
    "bad escape": (rb'{"a": "\x41"}', "not JSON"),
    "short escape": (rb'{"a": "\u12"}', "not JSON"),
    "the same key twice": (b'{"a": 1, "a": 1}', "duplicate key"),
    "the same key, escaped": (rb'{"a": 1, "\u0061": 2}', "duplicate key"),
    "the same key inside": (b'{"x": [{"a": 1, "b": 2, "a": 3}]}', "duplicate key"),
    "the empty key twice": (b'{"": 1, "": 2}', "duplicate key"),
    "NaN": (b'{"a": NaN}', "NaN is not JSON"),
    "Infinity": (b'{"a": Infinity}', "Infinity is not JSON"),
    "-Infinity": (b'{"a": [-Infinity]}', "-Infinity is not JSON"),
    "nan": (b'{"a": nan}', "not JSON"),
    "2^63": (b'{"a": 9223372036854775808}', "beyond 64 bits"),
    "-2^63 - 1": (b'{"a": -9223372036854775809}', "beyond 64 bits"),
    "2^64": (b'{"a": 18446744073709551616}', "beyond 64 bits"),
    "a million digits": (b'{"a": ' + b"9" * 1_000_000 + b"}", "beyond 64 bits"),
    "1e400": (b'{"a": 1e400}', "too large"),
    "-1e400": (b'{"a": -1e400}', "too large"),
    "leading zero": (b'{"a": 01}', "not JSON"),
    "plus sign": (b'{"a": +1}', "not JSON"),
    "hexadecimal": (b'{"a": 0x1}', "not JSON"),
    "point without digits": (b'{"a": 1.}', "not JSON"),
    "Arabic digits": ('{"a": \u0661}'.encode(), "not JSON"),
    "too deep": (b'{"a":' * 33 + b"1" + b"}" * 33, "nested"),
    "too deep in lists": (b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "nested"),
    "deep and never closed": (b"[" * 1_000_000, "nested"),
    "deep after a text of brackets": (b'{"a": "[[[", "b":' + b"[" * 32 + b"]" * 32 + b"}", "nested"),
    "deep after an escaped quote": (rb'{"a": "\"", "b":' + b"[" * 32 + b"]" * 32 + b"}", "nested"),
    "deep after an escaped backslash": (rb'{"a": "\\", "b":' + b"[" * 32 + b"]" * 32 + b"}", "nested"),
}

TAKEN = {
    "empty": b"{}",
    "spaces around": b" \t\r\n{ } \n",
    "limits of 64 bits": b'{"a": 9223372036854775807, "b": -9223372036854775808}',
    "minus zero": b'{"a": -0, "b": -0.0}',
    "as deep as may be": b'{"a":' * 32 + b"1" + b"}" * 32,
    "wide": b'{"a": [' + b"{}," * 1000 + b"{}]}",
    "brackets in a text": b'{"a": "' + b"[{" * 100 + b'"}',
    "brackets and quotes in a text": rb'{"a": "\"' + b"[{" * 100 + rb'\\"}',
    "a pair of surrogates": rb'{"a": "\ud83d\udc33"}',
    "an escaped zero": rb'{"a": "\u0000"}',
    "the same key in two objects": b'{"a": {"x": 1}, "b": {"x": 1}}',
    "keys that differ in case": b'{"a": 1, "A": 2}',
    "keys that differ in composition": '{"\u00e9": 1, "e\u0301": 2}'.encode(),
    "small numbers": b'{"a": 1e-400, "b": 1.5, "c": 1E+2}',
    "a backslash before u": rb'{"a": "\\ud800"}',
}


@pytest.mark.parametrize(("payload", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_two_parsers_may_read_differently_is_refused(payload, reason):
    with pytest.raises(ManifestInvalid) as refusal:
        decode_object(payload)
    assert reason in refusal.value.message
    assert len(repr(refusal.value.detail)) < 400


@pytest.mark.parametrize("payload", TAKEN.values(), ids=TAKEN)
def test_plain_json_is_read_as_everybody_reads_it(payload):
    assert decode_object(payload) == json.loads(payload)


def test_the_depth_allowed_is_the_depth_stated():
    for depth, fits in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
        payload = b'{"a":' * depth + b"1" + b"}" * depth
        if fits:
            assert decode_object(payload)
        else:
            with pytest.raises(ManifestInvalid):
                decode_object(payload)


def test_a_refusal_says_where():
    with pytest.raises(ManifestInvalid) as refusal:
        decode_object(b'{\n "a": x}')
    assert refusal.value.detail == {"line": 2, "column": 7}
    with pytest.raises(ManifestInvalid) as refusal:
        decode_object(b'{"a": 1, "a": 2}')
    assert refusal.value.detail == {"key": "a"}


_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)
_OBJECTS = st.dictionaries(_TEXT, _VALUES, max_size=5)


@given(_OBJECTS, st.booleans(), st.sampled_from([None, 1, 3]))
def test_every_object_comes_back(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert decode_object(text.encode()) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_json_loads_does_or_refused(data):
    try:
        value = decode_object(data)
    except ManifestInvalid:
        return
    assert value == json.loads(data)


@given(_OBJECTS.map(json.dumps), st.data())
def test_a_changed_text_is_read_as_json_loads_does_or_refused(text, data):
    position = data.draw(st.integers(0, len(text) - 1))
    changed = text[:position] + data.draw(st.sampled_from('{}[],:"\\u0e9.-NI \n')) + text[position + 1 :]
    try:
        value = decode_object(changed.encode())
    except ManifestInvalid:
        return
    assert value == json.loads(changed)
    assert json.dumps(value, ensure_ascii=False).encode()
