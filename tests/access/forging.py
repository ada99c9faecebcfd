"""Tokens as an attacker writes them: any header, any claims, any signature."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

Signer = Callable[[bytes], bytes]
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def b64(data: bytes | str) -> str:
    """Write bytes as tokens do."""
    return (
        base64.urlsafe_b64encode(data.encode(errors="surrogateescape") if isinstance(data, str) else data)
        .rstrip(b"=")
        .decode()
    )


def unb64(text: str) -> bytes:
    """Read what :func:`b64` wrote."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def es256(key: ec.EllipticCurvePrivateKey, hashed: hashes.HashAlgorithm | None = None, size: int = 32) -> Signer:
    """Sign as ES256 does, or with another hash or size."""

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashed or hashes.SHA256())))
        return r.to_bytes(size) + s.to_bytes(size)

    return sign


def der(key: ec.EllipticCurvePrivateKey) -> Signer:
    """Sign, and leave the signature as OpenSSL writes it."""
    return lambda data: key.sign(data, ec.ECDSA(hashes.SHA256()))


def hs256(secret: bytes) -> Signer:
    """Sign with a secret that is none: what everybody can read."""

    def sign(data: bytes) -> bytes:
        made = hmac.HMAC(secret, hashes.SHA256())
        made.update(data)
        return made.finalize()

    return sign


def rs256(key: rsa.RSAPrivateKey) -> Signer:
    """Sign with RSA."""
    return lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def eddsa(key: ed25519.Ed25519PrivateKey) -> Signer:
    """Sign with Ed25519."""
    return key.sign


def compact(header: Mapping[str, Any] | str, claims: Mapping[str, Any] | str, sign: Signer) -> str:
    """Join the three parts; text stands for itself."""
    head, body = (b64(part if isinstance(part, str) else json.dumps(part)) for part in (header, claims))
    return f"{head}.{body}.{b64(sign(f'{head}.{body}'.encode()))}"
