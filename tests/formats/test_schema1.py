"""Schema 1 and its signatures, those of Docker's own library and ours."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import signing
from registry.digest import Digest
from registry.errors import ManifestInvalid
from registry.formats import schema1
from registry.formats._jws import attach
from tests.formats.corpus import GOLDEN, SIGNED, UNSIGNED, encode, good

PEM = signing.generate_private_key_pem()
BODY = (GOLDEN / "unsigned.json").read_bytes()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("name", ["p256", "p384", "rsa", "two"])
def test_signatures_of_docker_s_library_are_valid(name):
    """The files were signed with libtrust, with throw-away keys."""
    parsed = schema1.parse_manifest(SIGNED, (GOLDEN / f"signed-{name}.json").read_bytes())
    assert parsed.digest_bytes == BODY
    assert str(Digest.of(parsed.digest_bytes)) == (
        "sha256:19f9918be4404c03d815c8b497ee10984e9bd7b8a6b0874e39dd528ec0a0dcf0"
    )


def test_a_signed_text_without_indentation_is_found_again():
    payload = (GOLDEN / "signed-compact.json").read_bytes()
    parsed = schema1.parse_manifest(SIGNED, payload)
    assert parsed.payload == payload
    assert parsed.digest_bytes == encode_compact(json.loads(BODY)) + b"\n"


def encode_compact(document):
    return json.dumps(document, separators=(",", ":")).encode()


def test_layers_labels_and_blobs_are_read_base_first():
    parsed = schema1.parse_manifest(UNSIGNED, BODY)
    base, leaf = schema1.manifest_layers(parsed)
    assert str(base.digest).startswith("sha256:ba7816bf")
    assert (base.size, base.created_by, base.author, base.comment) == (
        -1,
        "/bin/sh -c ADD rootfs /",
        "Moorage",
        "base",
    )
    assert (leaf.digest, leaf.size, leaf.empty, leaf.created) == (None, 0, True, "2015-06-01T00:00:00Z")
    assert schema1.manifest_labels(parsed) == {"org.example.stage": "gold"}
    assert [blob.descriptor.size for blob in parsed.blobs] == [-1, -1]
    assert (parsed.digest_bytes, parsed.config, parsed.is_image, parsed.artifact_type) == (BODY, None, True, "")


def test_old_images_had_the_empty_layer_without_a_mark():
    document = good(UNSIGNED)
    leaf = json.loads(document["history"][0]["v1Compatibility"])
    del leaf["throwaway"]
    document["history"][0]["v1Compatibility"] = json.dumps(leaf)
    assert [one.empty for one in schema1.manifest_layers(schema1.parse_manifest(UNSIGNED, encode(document)))] == [
        False,
        True,
    ]


def test_a_blob_named_twice_is_one_blob():
    document = good(UNSIGNED)
    document["fsLayers"][1] = document["fsLayers"][0]
    assert len(schema1.parse_manifest(UNSIGNED, encode(document)).blobs) == 1


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """Signs the golden body in any way, also in ways that only look right."""

    def __init__(self, key):
        self.key = key

    def sign(self, data):
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), SHA256())
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def header(self):
        numbers = self.key.public_key().public_numbers()
        if isinstance(self.key, rsa.RSAPrivateKey):
            n, e = (encoded(number.to_bytes(256, "big").lstrip(b"\0")) for number in (numbers.n, numbers.e))
            return {"alg": "RS256", "jwk": {"kty": "RSA", "n": n, "e": e}}
        x, y = (encoded(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}}

    def entry(self, tail=b"\n}", protected=None, header=None, change=lambda signature: signature):
        fields = {"formatLength": len(BODY) - 2, "formatTail": encoded(tail), **(protected or {})}
        text = encoded(json.dumps(fields).encode())
        signature = self.sign(f"{text}.{encoded(BODY[:-2] + tail)}".encode())
        return {
            "header": self.header() | (header or {}),
            "signature": encoded(change(signature)),
            "protected": text,
        }


def signed_with(*entries):
    return BODY[:-2] + b',"signatures":' + encode(entries) + b"}"


CURVE = Signer(ec.generate_private_key(ec.SECP256R1()))


def test_the_signer_of_these_tests_signs_well():
    for signer in (CURVE, Signer(rsa.generate_private_key(65537, 2048))):
        assert schema1.parse_manifest(SIGNED, signed_with(signer.entry(), signer.entry())).digest_bytes == BODY


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([CURVE.entry(), CURVE.entry(tail=b"}")], "of different bytes"),
        ([CURVE.entry(protected={"formatLength": 10**9})], "beyond the end"),
        ([CURVE.entry(protected={"alg": "ES256"})], "protected.alg has no place"),
        ([CURVE.entry(protected={"crit": ["b64"], "b64": False})], "protected.crit has no place"),
        ([CURVE.entry(protected={"FormatLength": 0})], "must be spelled formatLength"),
        ([CURVE.entry(header={"Alg": "none"})], "must be spelled alg"),
        ([CURVE.entry(change=lambda text: text[:32] + b"\0" + text[32:])], "not a valid signature"),
        ([Signer(rsa.generate_private_key(65537, 1024)).entry()], "must be of 2048 to 4096 bits"),
        ([CURVE.entry(tail=b',"tag":"2"}')], "duplicate key"),
        ([CURVE.entry(tail=b',"more":1}')], "of other content"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_true_signature_of_the_wrong_thing_is_refused(entries, reason):
    with pytest.raises(ManifestInvalid) as refusal:
        schema1.parse_manifest(SIGNED, signed_with(*entries))
    assert reason in refusal.value.message


def test_an_unsigned_manifest_may_not_bring_signatures():
    with pytest.raises(ManifestInvalid, match="prettyjws"):
        schema1.parse_manifest(UNSIGNED, (GOLDEN / "signed-p256.json").read_bytes())


@pytest.mark.parametrize(
    "payload", [BODY, BODY + b"\n", encode_compact(good(UNSIGNED)), encode(good(UNSIGNED)) + b" \n\t"]
)
def test_what_we_sign_verifies(payload):
    parsed = schema1.parse_manifest(SIGNED, attach(payload, signing.sign_schema1(PEM, payload)))
    assert parsed.digest_bytes == payload


def test_the_signature_is_as_docker_writes_it():
    parts = signing.sign_schema1(PEM, BODY)
    protected = json.loads(decoded(parts.protected))
    assert sorted(protected) == ["formatLength", "formatTail", "time"]
    assert BODY[: protected["formatLength"]] + decoded(protected["formatTail"]) == BODY
    assert decoded(protected["formatTail"]) == b"\n}"
    assert parts.algorithm == "ES256"
    assert sorted(parts.jwk) == ["crv", "kid", "kty", "x", "y"]
    assert len(decoded(parts.signature)) == 64
    assert [len(group) for group in parts.jwk["kid"].split(":")] == [4] * 12
    assert "=" not in "".join([parts.signature, parts.protected, parts.jwk["x"], parts.jwk["y"]])


def test_the_key_id_is_libtrust_s():
    """The id libtrust wrote beside the key in the golden file, from the same key."""
    jwk = json.loads((GOLDEN / "signed-p256.json").read_bytes())["signatures"][0]["header"]["jwk"]
    x, y = (int.from_bytes(decoded(jwk[name]), "big") for name in "xy")
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    assert signing._public_jwk(key) == jwk


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"{ \n}", b"1", b'{"a": 1,}'])
def test_only_an_object_with_members_is_signed(payload):
    with pytest.raises(ValueError, match="object"):
        signing.sign_schema1(PEM, payload)


def test_only_a_p_256_key_signs():
    key = ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ValueError, match="P-256"):
        signing.sign_schema1(pem, BODY)


def test_keys_are_fresh_and_never_shown():
    assert signing.generate_private_key_pem() != PEM
    assert "d" not in signing.sign_schema1(PEM, BODY).jwk


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_change_of_a_signed_byte_goes_unnoticed(data):
    payload = (GOLDEN / "signed-p256.json").read_bytes()
    position = data.draw(st.integers(0, len(payload) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != payload[position]))
    forged = payload[:position] + bytes([byte]) + payload[position + 1 :]
    try:
        parsed = schema1.parse_manifest(SIGNED, forged)
    except ManifestInvalid:
        return
    # What is left are changes beside the signed text: spaces, the key's id.
    assert parsed.digest_bytes == BODY
