"""Digests: the grammar in full, and nothing beside it."""

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.digest import ALGORITHMS, Digest, new_hasher
from registry.errors import DigestInvalid

A64, A128 = "a" * 64, "a" * 128

REFUSED = [
    None,
    7,
    True,
    b"sha256:" + b"a" * 64,
    ["sha256:" + A64],
    {},
    "",
    ":",
    "sha256",
    "sha256:",
    ":" + A64,
    A64,
    "sha256:" + "a" * 63,
    "sha256:" + "a" * 65,
    "sha256:" + A128,
    "sha512:" + A64,
    "sha512:" + "a" * 127,
    "sha512:" + "a" * 129,
    "sha256:" + "A" * 64,
    "sha256:" + "a" * 63 + "A",
    "sha256:" + "g" * 64,
    "sha256:" + "a" * 63 + "\u0661",  # an Arabic digit
    "sha256:" + "\uff41" * 64,  # full-width letters
    "SHA256:" + A64,
    "Sha256:" + A64,
    "sha-256:" + A64,
    "sha256-" + A64,
    "sha256=" + A64,
    "sha256::" + A64,
    "sha256:sha256:" + A64,
    "sha256: " + A64,
    " sha256:" + A64,
    "sha256:" + A64 + " ",
    "sha256:" + A64 + "\n",
    "\nsha256:" + A64,
    "sha256:" + A64 + "\x00",
    "sha256:\x00" + "a" * 63,
    "sha256:" + "a" * 32 + "\n" + "a" * 31,
    "sha256:" + "%61" * 64,
    "sha256%3A" + A64,
    "sha256:../" + "a" * 61,
    "sha256:../../../../etc/passwd",
    "sha256:" + "a" * 62 + "/.",
    "sha256:" + "a" * 63 + "\\",
    "../sha256:" + A64,
    "sha256/" + A64,
    "md5:" + "a" * 32,
    "sha1:" + "a" * 40,
    "sha384:" + "a" * 96,
    "sha224:" + "a" * 56,
    "sha3_256:" + A64,
    "blake2b:" + A128,
    "blake3:" + A64,
    "shake_128:" + A64,
    "tarsum.v1+sha256:" + A64,
    "sha256+b64:" + A64,
    "sha256:" + "=" * 64,
    "sha256:" + "_" * 64,
    "sha256:-" + "a" * 63,
    "sha256:0x" + "a" * 62,
    "sha256:" + "a" * 100_000,
    "a" * 100_000 + ":" + A64,
    "+sha256:" + A64,
    "sha256.:" + A64,
    "\u017fha256:" + A64,  # a long s, which folds to s
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text)[:60])
def test_what_is_no_digest_is_refused_and_named(text):
    with pytest.raises(DigestInvalid) as refusal:
        Digest.parse(text)
    shown = refusal.value.detail["digest"]
    assert shown[:40] == (text if isinstance(text, str) else repr(text))[:40]
    assert len(shown) <= 257
    assert refusal.value.http_status == 400


@pytest.mark.parametrize(("algorithm", "length"), ALGORITHMS.items())
def test_a_digest_is_parsed_in_full(algorithm, length):
    encoded = ("0123456789abcdef" * 8)[:length]
    digest = Digest.parse(f"{algorithm}:{encoded}")
    assert (digest.algorithm, digest.encoded) == (algorithm, encoded)
    assert str(digest) == f"{algorithm}:{encoded}"


@given(st.binary(), st.sampled_from(sorted(ALGORITHMS)))
def test_a_digest_of_bytes_is_theirs_and_parses_again(data, algorithm):
    digest = Digest.of(data, algorithm)
    assert digest.encoded == hashlib.new(algorithm, data).hexdigest()
    assert Digest.parse(str(digest)) == digest
    hasher = new_hasher(algorithm)
    for start in range(0, len(data), 7):
        hasher.update(data[start : start + 7])
    assert hasher.hexdigest() == digest.encoded


@given(st.text(max_size=100))
def test_any_text_is_a_digest_or_refused(text):
    with suppress(DigestInvalid):
        assert str(Digest.parse(text)) == text


def test_the_default_is_sha256_and_others_are_refused():
    assert Digest.of(b"").algorithm == "sha256"
    for algorithm in ("md5", "", "SHA256", "sha1"):
        with pytest.raises(DigestInvalid):
            new_hasher(algorithm)


def test_digests_are_values():
    assert Digest.of(b"x") == Digest.of(b"x")
    assert len({Digest.of(b"x"), Digest.of(b"x"), Digest.of(b"x", "sha512")}) == 2
    with pytest.raises(AttributeError):
        Digest.of(b"x").encoded = "y"
