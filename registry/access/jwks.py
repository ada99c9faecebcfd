"""Sets of public keys of others, and what of a token they prove (RFC 7515, 7517, 7518, 8037).

Which algorithms a key may be used with follows from the key alone: a token's header picks one of these, or is refused
(RFC 8725, 3.1). Keys come from the set alone, never from a token's header, and secrets (``oct``) are no keys here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, GuestProtocol, JWKRegistry, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import base64_to_int

from registry.access.remembered import Remembered

LONGEST_TOKEN = 16_384
_MOST_KEYS, _REMEMBERED = 100, 512
_RSA_BITS = range(2048, 8193)
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_OF_CURVE = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
}
_ALGORITHMS = _RSA.union(*_OF_CURVE.values())
_TAKEN = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
"""What is read of a key: no certificate, no address, and nothing that is private."""
_NONE = "this is no token that the issuer signed"


class TokenRefused(Exception):
    """The token proves nothing; the message says why, in words for its owner."""


class KeyUnknown(TokenRefused):
    """No key of the set has the token's key id: the issuer may have a new one."""


class KeySetInvalid(ValueError):
    """What should be a set of keys is none, or holds no key that proves tokens."""


_Said = tuple[Mapping[str, Any], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Key:
    kid: str | None
    algorithms: frozenset[str]
    key: RSAKey | ECKey | OKPKey


class _Reading(JWSRegistry):
    """Reads headers with members that it does not know, which mean nothing, but none that says it must be known."""

    def __init__(self) -> None:
        super().__init__(algorithms=_ALGORITHMS, strict_check_header=False)

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return an algorithm, without the warning that EdDSA has several curves: the key names its own."""
        if name not in _ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


_READING = _Reading()


class KeySet:
    """The keys of one issuer."""

    def __init__(self, keys: Sequence[_Key]) -> None:
        """Keep keys; :meth:`parse` reads them."""
        self._keys = keys
        self._proven: Remembered[_Said] = Remembered(_REMEMBERED)

    @classmethod
    def parse(cls, data: bytes | str) -> KeySet:
        """Read a JWK Set (RFC 7517, 5); keys of no known kind are left out. Raises :class:`KeySetInvalid`."""
        try:
            document = json.loads(data)
            listed = document["keys"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise KeySetInvalid("this is no set of keys (JWKS)") from None
        if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
            raise KeySetInvalid(f"a set of keys (JWKS) lists {_MOST_KEYS} at most")
        keys = [key for key in map(_read, listed) if key is not None]
        if not keys:
            raise KeySetInvalid("the set of keys (JWKS) holds none that proves tokens")
        return cls(keys)

    def prove(self, text: str) -> _Said:
        """Return the header and claims of a token that one of these keys signed.

        Raises :class:`KeyUnknown`, :class:`TokenRefused`.
        """
        said = self._proven.get(text)
        if said is None:
            said = self._proved(text)
            self._proven.keep(text, said)
        return said

    def _proved(self, text: str) -> _Said:
        if len(text) > LONGEST_TOKEN or not text.isascii():
            raise TokenRefused(_NONE)
        try:
            token = jwt.decode(text, self._key_of, registry=_READING)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise TokenRefused(_NONE) from error
        if "crit" in token.header:
            raise TokenRefused(_NONE)
        return token.header, token.claims

    def _key_of(self, token: GuestProtocol) -> RSAKey | ECKey | OKPKey:
        """Return the key that a token's header names; it may name none where there is one alone (OIDC Core, 10.1)."""
        header = token.headers()
        kid, algorithm = header.get("kid"), header.get("alg")
        named = [one for one in self._keys if one.kid == kid] if kid is not None else self._keys
        if not named:
            raise KeyUnknown("no key of the issuer has the id that this token names")
        fitting = [one for one in named if algorithm in one.algorithms]
        if len(fitting) != 1:
            raise TokenRefused(_NONE)
        return fitting[0].key


def _read(given: object) -> _Key | None:
    """Return a key, None for one that proves no tokens."""
    if not isinstance(given, dict):
        return None
    kind, kid, operations = given.get("kty"), given.get("kid"), given.get("key_ops", ["verify"])
    if given.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    if not isinstance(kind, str) or kind not in _TAKEN or not (kid is None or isinstance(kid, str)):
        return None
    try:
        algorithms = _RSA if kind == "RSA" else _OF_CURVE[kind, given["crv"]]
        if kind == "RSA" and base64_to_int(given["n"]).bit_length() not in _RSA_BITS:
            return None
        key = JWKRegistry.import_key({name: given[name] for name in _TAKEN[kind]})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    alone = given.get("alg")
    allowed = algorithms if alone is None else algorithms & {alone} if isinstance(alone, str) else frozenset()
    return _Key(kid, allowed, cast("RSAKey | ECKey | OKPKey", key)) if allowed else None
