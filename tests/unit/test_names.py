"""Repository names, tags and references: what a client may send, and in which disguise not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.digest import Digest
from registry.errors import DigestInvalid, NameInvalid, TagInvalid
from registry.names import MAX_NAME_LENGTH, MAX_TAG_LENGTH, RepositoryName, TagName, parse_reference

A64 = "a" * 64

GOOD_NAMES = [
    "a",
    "0",
    "alpine",
    "library/alpine",
    "a/b/c/d/e/f/g/h",
    "a.b",
    "a_b",
    "a__b",
    "a-b",
    "a--b",
    "a---------b",
    "a.b_c-d/e__f.g",
    "1/2/3",
    "foo.com/bar",
    "x" * 255,
    "a/" * 127 + "b",
]

BAD_NAMES = [
    "",
    "/",
    "//",
    ".",
    "..",
    "../a",
    "a/..",
    "a/../b",
    "a/./b",
    "./a",
    "/a",
    "a/",
    "a//b",
    "/etc/passwd",
    "a/../../../etc/passwd",
    "A",
    "Alpine",
    "library/Alpine",
    "aB",
    "-a",
    "a-",
    ".a",
    "a.",
    "_a",
    "a_",
    "a___b",
    "a..b",
    "a._b",
    "a.-b",
    "a-_b",
    "a_-b",
    "a/-b",
    "a-/b",
    "a/.b",
    "a/_b",
    "a b",
    " a",
    "a ",
    "a\t",
    "a\n",
    "\na",
    "a\nb",
    "a\r\nHost: b",
    "a\x00",
    "a\x00/b",
    "a\\b",
    "..\\a",
    "a:b",
    "a@b",
    "a@sha256:" + A64,
    "a?b",
    "a#b",
    "a%b",
    "%2e%2e",
    "a/%2e%2e/b",
    "%2e%2e%2fa",
    "a%2fb",
    "a%2Fb",
    "a%00",
    "a%0a",
    "%61",
    "%252e%252e",
    "a%c0%af",
    "a;b",
    "a&b",
    "a=b",
    "a+b",
    "a,b",
    "a|b",
    "a$b",
    "$(a)",
    "`a`",
    "a'b",
    'a"b',
    "a<b>",
    "<script>",
    "a*b",
    "a~b",
    "~a",
    "a!b",
    "a^b",
    "a(b)",
    "a[b]",
    "a{b}",
    "é",
    "caf\u00e9",
    "\u0430",  # Cyrillic a
    "\uff41",  # full-width a
    "\u0661",  # Arabic one
    "a\u200bb",  # zero-width space
    "a\u202eb",  # right-to-left override
    "a\u2215b",  # division slash
    "a\uff0fb",  # full-width slash
    "\uff0e\uff0e",  # full-width dots
    "\u2024\u2024",  # one-dot leaders
    "a\u0301",
    "\u212a",  # Kelvin sign
    "\u017f",  # long s
    "\ufeffa",
    "\U0001f433",
    "\ud800",
    "x" * 256,
    "x" * 100_000,
    "a/" * 128 + "b",
    "con\x7f",
    "a\x1b[31m",
    "{}",
    "{{7*7}}",
    "' OR 1=1 --",
    "a\u2028b",
    "a\x85",
]

GOOD_TAGS = ["a", "A", "0", "_", "latest", "1.2.3", "1.2-alpine", "v1_0", "a..b", "a--b", "a__b", "_.-", "x" * 128]

BAD_TAGS = [
    "",
    ".",
    "..",
    "-",
    ".a",
    "-a",
    "a/b",
    "../a",
    "a/..",
    "/",
    "a:b",
    "a@b",
    "a b",
    " a",
    "a ",
    "a\n",
    "\na",
    "a\nb",
    "a\x00",
    "a\r",
    "a\\b",
    "a%20b",
    "%61",
    "%2e%2e",
    "a+b",
    "a=b",
    "a?b",
    "a#b",
    "a,b",
    "a*",
    "a~1",
    "a!",
    "é",
    "\u0430",
    "\uff41",
    "\u0661",
    "\u212a",
    "\u017f",
    "a\u200b",
    "\ufeffa",
    "\U0001f433",
    "\ud800",
    "x" * 129,
    "x" * 100_000,
    "<b>",
    "$(a)",
    "a;b",
    "a'b",
]

BAD_DIGEST_REFERENCES = [
    ":",
    "a:b",
    "sha256:",
    "sha256:" + "a" * 63,
    "sha256:" + "A" * 64,
    "sha256:" + A64 + "\n",
    "sha256:" + A64 + "/..",
    "sha256:../../etc/passwd",
    "SHA256:" + A64,
    "md5:" + "a" * 32,
    "sha256:" + A64 + ":x",
    "latest:" + A64,
    "sha256:%61" + "a" * 61,
]


def shown(text):
    return repr(text)[:60]


@pytest.mark.parametrize("text", GOOD_NAMES, ids=shown)
def test_good_names_are_taken_as_they_are(text):
    assert str(RepositoryName.parse(text)) == text


@pytest.mark.parametrize("text", BAD_NAMES, ids=shown)
def test_bad_names_are_refused_and_named(text):
    with pytest.raises(NameInvalid) as refusal:
        RepositoryName.parse(text)
    assert refusal.value.detail == {"name": text[:256]}
    assert refusal.value.http_status == 400


@pytest.mark.parametrize("text", GOOD_TAGS, ids=shown)
def test_good_tags_are_taken_as_they_are(text):
    assert str(TagName.parse(text)) == text
    assert parse_reference(text) == TagName(text)


@pytest.mark.parametrize("text", BAD_TAGS, ids=shown)
def test_bad_tags_are_refused_and_named(text):
    with pytest.raises(TagInvalid) as refusal:
        TagName.parse(text)
    assert refusal.value.detail == {"tag": text[:256]}
    assert refusal.value.http_status == 400


@pytest.mark.parametrize("text", BAD_DIGEST_REFERENCES, ids=shown)
def test_a_reference_with_a_colon_is_a_digest_or_refused(text):
    with pytest.raises(DigestInvalid) as refusal:
        parse_reference(text)
    assert refusal.value.detail == {"reference": text[:256]}


def test_references_are_told_apart():
    assert parse_reference("sha256:" + A64) == Digest("sha256", A64)
    assert parse_reference("sha256") == TagName("sha256")
    assert parse_reference("sha256-" + A64) == TagName("sha256-" + A64)
    with pytest.raises(TagInvalid):
        parse_reference("a/b")


@pytest.mark.parametrize(
    ("text", "namespace"), [("alpine", ""), ("library/alpine", "library"), ("a/b/c", "a"), ("foo.com/bar", "foo.com")]
)
def test_the_namespace_is_what_comes_before_the_first_slash(text, namespace):
    assert RepositoryName.parse(text).namespace == namespace


def test_there_are_over_a_hundred_disguises():
    assert len(set(BAD_NAMES)) == len(BAD_NAMES) >= 100
    assert len({*BAD_NAMES, *BAD_TAGS, *BAD_DIGEST_REFERENCES}) >= 130


@given(st.text(max_size=300))
def test_any_text_is_a_safe_name_or_refused(text):
    try:
        name = str(RepositoryName.parse(text))
    except NameInvalid:
        return
    assert name == text
    assert len(name) <= MAX_NAME_LENGTH
    assert name.isascii()
    assert all(part and part not in {".", ".."} for part in name.split("/"))


@given(st.text(max_size=150))
def test_any_text_is_a_safe_tag_or_refused(text):
    try:
        tag = str(TagName.parse(text))
    except TagInvalid:
        return
    assert tag == text
    assert len(tag) <= MAX_TAG_LENGTH
    assert tag not in {".", ".."}
    assert not set(tag) & set("/\\:%\x00\n ")


_RUN = st.text("abyz019", min_size=1, max_size=6)
_PART = st.tuples(_RUN, st.lists(st.tuples(st.sampled_from([".", "_", "__", "-", "---"]), _RUN), max_size=3)).map(
    lambda part: part[0] + "".join(separator + run for separator, run in part[1])
)


@given(st.lists(_PART, min_size=1, max_size=5).map("/".join).filter(lambda name: len(name) <= MAX_NAME_LENGTH))
def test_every_name_of_the_grammar_is_taken(name):
    assert RepositoryName.parse(name).value == name
