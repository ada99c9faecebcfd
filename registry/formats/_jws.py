"""JSON signatures inside the JSON they sign, as schema 1 carries them.

Source: Docker's "Image Manifest Version 2, Schema 1", "Signed Manifests", on top of RFC 7515 and RFC 7517. The signed
bytes are the first ``formatLength`` bytes of the document followed by ``formatTail``, both from the protected
header. The key comes with the signature: by the format's design it proves that the bytes are whole, not who made
them, so it is trusted for nothing else. The algorithm follows from the key, never from what the text claims.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm

from registry.formats._fields import (
    Object,
    as_object,
    refuse,
    refuse_other_spellings,
    required_list,
    required_object,
    required_size,
    required_string,
)
from registry.hooks.strict_json import decode_object
from registry.hooks.types import SignatureParts

MAX_SIGNATURES = 8
"""Each costs a hash over the whole text; Docker writes one."""

_RSA_BITS = range(2048, 4097)
_RSA_EXPONENTS = range(3, 2**32)
_INDENT = 3

_CURVES: dict[str, tuple[type[ec.EllipticCurve], str, type[HashAlgorithm], int]] = {
    "P-256": (ec.SECP256R1, "ES256", SHA256, 32),
    "P-384": (ec.SECP384R1, "ES384", SHA384, 48),
}


@dataclass(frozen=True, slots=True)
class _Key:
    algorithm: str
    verify: Callable[[bytes, bytes], None]


def signed_payload(document: Object, payload: bytes) -> bytes:
    """Verify every signature of a signed document and return the bytes they sign.

    Raises :class:`ManifestInvalid` unless all are valid, sign the same bytes, and these say the same as the document.
    """
    signatures = required_list(document, "signatures")
    if not 0 < len(signatures) <= MAX_SIGNATURES:
        refuse("signatures", f"must be 1 to {MAX_SIGNATURES}", len(signatures))
    signed = {_verify(entry, f"signatures[{index}]", payload) for index, entry in enumerate(signatures)}
    if len(signed) > 1:
        refuse("signatures", "are of different bytes")
    text = signed.pop()
    outside = {key: value for key, value in document.items() if key != "signatures"}
    # As text, because Python takes true and 1 and 1.0 for equal.
    if json.dumps(decode_object(text), sort_keys=True) != json.dumps(outside, sort_keys=True):
        refuse("signatures", "are of other content than the document's")
    return text


def attach(payload: bytes, parts: SignatureParts) -> bytes:
    """Return the document with its signature inside."""
    protected = decode_object(_decode(parts.protected, "protected"))
    head = payload[: required_size(protected, "formatLength", "protected")]
    header = {"jwk": dict(parts.jwk), "alg": parts.algorithm}
    entry = {"header": header, "signature": parts.signature, "protected": parts.protected}
    text = json.dumps([entry], indent=_INDENT).replace("\n", "\n" + " " * _INDENT)
    return head + f',\n{" " * _INDENT}"signatures": {text}\n}}'.encode()


def _verify(value: object, path: str, payload: bytes) -> bytes:
    entry = as_object(value, path)
    refuse_other_spellings(entry, ("header", "signature", "protected"), path)
    header = required_object(entry, "header", path)
    refuse_other_spellings(header, ("alg", "jwk", "x5c"), f"{path}.header")
    key = _read_key(required_object(header, "jwk", f"{path}.header"), f"{path}.header.jwk")
    if required_string(header, "alg", f"{path}.header") != key.algorithm:
        refuse(f"{path}.header.alg", f"must be {key.algorithm} for this key", header["alg"])
    protected = required_string(entry, "protected", path)
    signed = _signed_bytes(protected, f"{path}.protected", payload)
    signature = _decode(required_string(entry, "signature", path), f"{path}.signature")
    signing_input = f"{protected}.".encode() + base64.urlsafe_b64encode(signed).rstrip(b"=")
    try:
        key.verify(signature, signing_input)
    except InvalidSignature:
        refuse(path, "is not a valid signature of this manifest")
    return signed


def _signed_bytes(protected: str, path: str, payload: bytes) -> bytes:
    fields = decode_object(_decode(protected, path))
    refuse_other_spellings(fields, ("formatLength", "formatTail"), path)
    # These would change what the signature is of, or repeat what the open header says (RFC 7515, 4.1.11 and 7.2.1).
    for name in ("alg", "jwk", "x5c", "crit", "b64"):
        if name in fields:
            refuse(f"{path}.{name}", "has no place in a protected header of schema 1")
    length = required_size(fields, "formatLength", path)
    if length > len(payload):
        refuse(f"{path}.formatLength", "is beyond the end of the manifest", length)
    return payload[:length] + _decode(required_string(fields, "formatTail", path), f"{path}.formatTail")


def _read_key(jwk: Object, path: str) -> _Key:
    if "d" in jwk:
        refuse(path, "is a private key")
    readers = {"EC": _read_curve_key, "RSA": _read_rsa_key}
    kind = required_string(jwk, "kty", path)
    if kind not in readers:
        refuse(f"{path}.kty", "must be EC or RSA", kind)
    try:
        return readers[kind](jwk, path)
    except ValueError:  # a point off the curve, an even modulus
        refuse(path, "is no public key")


def _read_curve_key(jwk: Object, path: str) -> _Key:
    name = required_string(jwk, "crv", path)
    if name not in _CURVES:
        refuse(f"{path}.crv", f"must be one of {', '.join(_CURVES)}", name)
    curve, algorithm, digest, width = _CURVES[name]
    x, y = _number(jwk, "x", path), _number(jwk, "y", path)
    key = ec.EllipticCurvePublicNumbers(x, y, curve()).public_key()

    def verify(signature: bytes, data: bytes) -> None:
        if len(signature) != 2 * width:
            raise InvalidSignature
        r, s = int.from_bytes(signature[:width]), int.from_bytes(signature[width:])
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(digest()))

    return _Key(algorithm, verify)


def _read_rsa_key(jwk: Object, path: str) -> _Key:
    modulus, exponent = _number(jwk, "n", path), _number(jwk, "e", path)
    if modulus.bit_length() not in _RSA_BITS or exponent not in _RSA_EXPONENTS:
        refuse(path, f"must be of {_RSA_BITS.start} to {_RSA_BITS.stop - 1} bits, with an exponent below 2^32")
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return _Key("RS256", lambda signature, data: key.verify(signature, data, padding.PKCS1v15(), SHA256()))


def _number(jwk: Object, name: str, path: str) -> int:
    return int.from_bytes(_decode(required_string(jwk, name, path), f"{path}.{name}"))


def _decode(text: str, path: str) -> bytes:
    """Decode base64url without padding (RFC 7515, section 2), in its one canonical spelling."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        refuse(path, "must be base64url without padding", text)
    if base64.urlsafe_b64encode(data).rstrip(b"=") != text.encode():
        refuse(path, "must be base64url without padding", text)
    return data
