"""Nothing that was changed passes: whatever is done to good evidence, the plugin says no, and never breaks."""

import logging
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import moorage_signed
from registry.hooks import Denied, Digest, TagPull, decode_object
from registry.testing.images import Blob, simple_image, to_json
from tests.support import signatures as made
from tests.support.scale import scaled

IMAGE = simple_image("cargo")
SIGNERS = {"p256": made.ecdsa_signer(), "rsa": made.rsa_signer(), "ed25519": made.ed25519_signer()}
EXAMPLES = settings(max_examples=scaled(600), deadline=None)


def is_admitted(signer, store, predicate_type=""):
    shelf = made.Shelf()
    manifest = shelf.add(IMAGE, "1")
    store(shelf)
    require = {"require": "attestation", "predicate_type": predicate_type} if predicate_type else {}
    rules = moorage_signed.Settings((moorage_signed.Rule((signer.pem,), **require),))
    asked = TagPull("prod/app", "1", Digest.parse(IMAGE.digest), manifest, {})
    try:
        moorage_signed.admit_pull(
            asked, shelf, types.SimpleNamespace(settings=rules, log=logging.getLogger("moorage.signed"))
        )
    except Denied:
        return False
    return True


def stores_simple(payload, signature):
    tag = IMAGE.digest.replace(":", "-") + ".sig"
    return lambda shelf: shelf.add(made.tagged(made.simple_layer(payload, made.encoded(signature))), tag)


def stores_envelope(payload, signature):
    envelope = {
        "payloadType": made.IN_TOTO,
        "payload": made.encoded(payload),
        "signatures": [{"sig": made.encoded(signature)}],
    }
    bundle = Blob(made.bundle({"dsseEnvelope": envelope}), made.BUNDLE)
    return lambda shelf: shelf.add(made.referrer(IMAGE, bundle))


def stores_message(digest, signature):
    content = {"messageDigest": {"algorithm": "SHA2_256", "digest": made.encoded(digest)}}
    bundle = made.bundle({"messageSignature": {**content, "signature": made.encoded(signature)}})
    return lambda shelf: shelf.add(made.referrer(IMAGE, Blob(bundle, made.BUNDLE)))


def good(signer):
    """Each shape: what stores it, and the two byte strings that it is made of."""
    claim, statement = made.simple_payload(IMAGE.digest), made.statement(IMAGE.digest)
    return {
        "simple": (stores_simple, claim, signer.sign(claim)),
        "envelope": (stores_envelope, statement, signer.sign(made.covered(statement))),
        "message": (stores_message, bytes.fromhex(Digest.of(IMAGE.data).encoded), signer.sign(IMAGE.data)),
    }


SHAPES = {name: good(signer) for name, signer in SIGNERS.items()}


@st.composite
def changes(draw):
    """A change of bytes: some of them replaced, put in, taken away, or moved."""
    kind = draw(st.sampled_from(["flip", "insert", "delete", "append", "prepend", "swap", "double"]))
    return kind, draw(st.floats(0, 0.999)), draw(st.integers(1, 255)), draw(st.binary(min_size=1, max_size=8))


def changed(data, change):
    kind, where, mask, more = change
    at = int(where * len(data))
    return {
        "flip": lambda: data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :],
        "insert": lambda: data[:at] + more + data[at:],
        "delete": lambda: data[:at] + data[at + len(more) :],
        "append": lambda: data + more,
        "prepend": lambda: more + data,
        "swap": lambda: data[at:] + data[:at],
        "double": lambda: data + data,
    }[kind]()


@pytest.mark.parametrize("shape", ["simple", "envelope", "message"])
@pytest.mark.parametrize("name", SIGNERS)
def test_what_was_not_changed_passes(name, shape):
    store, payload, signature = SHAPES[name][shape]
    assert is_admitted(SIGNERS[name], store(payload, signature))


@pytest.mark.parametrize("shape", ["simple", "envelope", "message"])
@pytest.mark.parametrize("name", SIGNERS)
@EXAMPLES
@given(change=changes(), of_payload=st.booleans())
def test_a_changed_payload_or_signature_never_passes(name, shape, change, of_payload):
    store, payload, signature = SHAPES[name][shape]
    parts = (changed(payload, change), signature) if of_payload else (payload, changed(signature, change))
    if parts != (payload, signature):
        assert not is_admitted(SIGNERS[name], store(*parts))


ENVELOPE = made.envelope(SIGNERS["p256"], made.statement(IMAGE.digest, made.PROVENANCE))
BUNDLE = made.bundle({"dsseEnvelope": ENVELOPE})


@EXAMPLES
@given(several=st.lists(changes(), min_size=1, max_size=3))
def test_a_changed_bundle_passes_only_where_what_is_signed_stayed(several):
    text = BUNDLE
    for change in several:
        text = changed(text, change) if text else text
    store = Blob(text, made.BUNDLE)
    if is_admitted(SIGNERS["p256"], lambda shelf: shelf.add(made.referrer(IMAGE, store)), made.PROVENANCE):
        envelope = decode_object(text)["dsseEnvelope"]
        assert envelope["payload"] == ENVELOPE["payload"]
        assert ENVELOPE["signatures"][0]["sig"] in [one.get("sig") for one in envelope["signatures"]]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@EXAMPLES
@given(path=st.lists(st.integers(0, 9), min_size=1, max_size=5), value=json_values)
def test_any_value_anywhere_is_met_without_breaking(path, value):
    whole = decode_object(BUNDLE)
    here = whole
    for step in path[:-1]:
        inner = [one for one in (here.values() if isinstance(here, dict) else here) if isinstance(one, dict | list)]
        here = inner[step % len(inner)] if inner else here
    if isinstance(here, dict):
        here[list(here)[path[-1] % len(here)]] = value
    elif here:
        here[path[-1] % len(here)] = value
    store = Blob(to_json(whole), made.BUNDLE)
    is_admitted(SIGNERS["p256"], lambda shelf: shelf.add(made.referrer(IMAGE, store)), made.PROVENANCE)


@EXAMPLES
@given(claim=json_values, statement=json_values)
def test_any_signed_value_is_met_without_breaking(claim, statement):
    signer = SIGNERS["ed25519"]
    critical = to_json({"critical": claim})
    assert not is_admitted(signer, stores_simple(critical, signer.sign(critical)))
    for payload in (
        to_json({"_type": "https://in-toto.io/Statement/v1", "predicateType": made.SIGNED, "subject": statement}),
        to_json({"_type": statement, "predicateType": claim, "subject": [statement]}),
        to_json(statement),
    ):
        assert not is_admitted(signer, stores_envelope(payload, signer.sign(made.covered(payload))))
