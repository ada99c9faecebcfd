"""The registry's own signature of the schema 1 manifests that it converts to.

Source: Docker's "Image Manifest Version 2, Schema 1", "Signed Manifests". Nobody trusts the key: old clients only
check that a signature is there and valid.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from registry.hooks.types import SignatureParts

_WIDTH = 32
_SPACE = b" \t\r\n"
_KEY_ID_BYTES = 30
_KEY_ID_GROUP = 4


def generate_private_key_pem() -> str:
    """Return a new P-256 private key, PKCS #8 in PEM without a password."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def sign_schema1(pem: str, payload: bytes) -> SignatureParts:
    """Sign a schema 1 manifest with a key of :func:`generate_private_key_pem`.

    The protected header says how to find ``payload`` again in the document that carries the signature: so many
    of its bytes, then the tail from the closing brace on. Raises :class:`ValueError` for a key of another kind
    and for a payload that is no JSON object with at least one member.
    """
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("the signing key must be of the curve P-256")  # noqa: TRY004 - a wrong value, in PEM
    protected = _encode(json.dumps(_protected_header(payload), separators=(",", ":")).encode())
    signature = key.sign(f"{protected}.{_encode(payload)}".encode(), ec.ECDSA(SHA256()))
    r, s = decode_dss_signature(signature)
    return SignatureParts(
        jwk=_public_jwk(key.public_key()),
        algorithm="ES256",
        signature=_encode(r.to_bytes(_WIDTH) + s.to_bytes(_WIDTH)),
        protected=protected,
    )


def _protected_header(payload: bytes) -> dict[str, str | int]:
    body = payload.rstrip(_SPACE)
    if not body.endswith(b"}"):
        raise ValueError("only a JSON object can be signed")
    length = len(body[:-1].rstrip(_SPACE))
    if body[length - 1 : length] in {b"", b"{", b","}:
        raise ValueError("an object without members cannot carry a signature")
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"formatLength": length, "formatTail": _encode(payload[length:]), "time": time}


def _public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    return {
        "crv": "P-256",
        "kid": _key_id(key),
        "kty": "EC",
        "x": _encode(numbers.x.to_bytes(_WIDTH)),
        "y": _encode(numbers.y.to_bytes(_WIDTH)),
    }


def _key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the key's fingerprint as Docker's clients compute and compare it: 12 groups of base32."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:_KEY_ID_BYTES]).decode()
    return ":".join(text[start : start + _KEY_ID_GROUP] for start in range(0, len(text), _KEY_ID_GROUP))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
