"""Public keys, and the signatures that cosign makes with their private halves."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

MIN_RSA_BITS = 2048
_MAX_FILE = 64 * 1024
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_SHA256 = hashes.SHA256()
# cosign hashes with SHA-256 whatever the curve, and since 3.0 with the hash that goes with the curve.
_CURVES = {
    "secp256r1": (_SHA256,),
    "secp384r1": (_SHA256, hashes.SHA384()),
    "secp521r1": (_SHA256, hashes.SHA512()),
}
# PKCS #1 v1.5 is what cosign makes unless asked for PSS.
_PADDINGS = (padding.PKCS1v15(), padding.PSS(padding.MGF1(_SHA256), padding.PSS.AUTO))

_Key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key under the name that messages call it by: its file's, or the start of its fingerprint."""

    name: str
    key: _Key

    @property
    def is_ed25519(self) -> bool:
        """Tell whether it signs by Ed25519: cosign 3 then makes Ed25519ph, which cryptography does not offer."""
        return isinstance(self.key, ed25519.Ed25519PublicKey)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether ``signature`` is one of this key over ``message``, in an algorithm of the key's own type."""
        if isinstance(self.key, ed25519.Ed25519PublicKey):
            return _ed25519_verifies(self.key, signature, message)
        if isinstance(self.key, rsa.RSAPublicKey):
            return _rsa_verifies(self.key, signature, message)
        return _ecdsa_verifies(self.key, signature, message)


def load_keys(text: str) -> tuple[PublicKey, ...]:
    """Return the public keys of a PEM text, or of the file that ``text`` is the path of.

    Raises :class:`ValueError` that says what to change.
    """
    if "-----BEGIN" in text:
        return _load(text, "", "the PEM text")
    path = Path(text).expanduser()
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise ValueError(f"the key {path.absolute()} cannot be read: {error.strerror}") from None
    if len(content) > _MAX_FILE:
        raise ValueError(f"the key {path.absolute()} is longer than {_MAX_FILE} bytes: that is no file of keys")
    return _load(content.decode("utf-8", "replace"), path.name, str(path.absolute()))


def _load(text: str, name: str, origin: str) -> tuple[PublicKey, ...]:
    blocks = list(_BLOCK.finditer(text))
    if not blocks:
        raise ValueError(f"{origin} holds no key: expected -----BEGIN PUBLIC KEY-----, as in cosign.pub")
    return tuple(_read(block[0], block[1], name, origin) for block in blocks)


def _read(block: str, kind: str, name: str, origin: str) -> PublicKey:
    if "PRIVATE" in kind:
        raise ValueError(f"{origin} holds a private key: give the public one, and keep this one away from here")
    if kind != "PUBLIC KEY":
        raise ValueError(f"{origin} holds a {kind.lower()}: expected -----BEGIN PUBLIC KEY-----, as in cosign.pub")
    try:
        key = load_pem_public_key(block.encode())
    except Exception as error:  # noqa: BLE001 - cryptography tells of bad keys in several ways
        raise ValueError(f"{origin} holds a key that cannot be read: {error}") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise ValueError(f"{origin} holds an RSA key of {key.key_size} bits: use one of {MIN_RSA_BITS} or more")
    fit = isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    )
    if not fit:
        raise ValueError(f"{origin} holds a key of another kind: use ECDSA on P-256, P-384 or P-521, RSA, or Ed25519")
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(name or f"sha256:{hashlib.sha256(encoded).hexdigest()[:12]}", key)  # type: ignore[arg-type] # fit


def _ecdsa_verifies(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    for algorithm in _CURVES[key.curve.name]:
        try:
            key.verify(signature, message, ec.ECDSA(algorithm))
        except InvalidSignature:
            continue
        return True
    return False


def _rsa_verifies(key: rsa.RSAPublicKey, signature: bytes, message: bytes) -> bool:
    for padded in _PADDINGS:
        try:
            key.verify(signature, message, padded, _SHA256)
        except InvalidSignature:
            continue
        return True
    return False


def _ed25519_verifies(key: ed25519.Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
