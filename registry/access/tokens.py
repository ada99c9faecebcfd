"""Tokens: what a client shows instead of a password, for minutes (Docker, "Token Authentication Specification").

A token says who somebody is and what it was asked for. What they may do is decided anew each time, so that access
which is taken away ends with the next request.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol

from registry.access.actors import Actor, Kind, Proof
from registry.access.jwks import TokenRefused
from registry.access.limits import TokenLimits, parse_access
from registry.access.remembered import Remembered
from registry.access.token_keys import ALGORITHM, TokenKeys

LIVES_SECONDS = 300
"""How long a token lives where nothing else is set."""
LEEWAY_SECONDS = 5
"""How far the clocks of two machines of one registry may be apart."""
_LONGEST = 16_384
_REMEMBERED = 4096
_MOST = 1 << 63
_TYPE = "at+jwt"
_NONE = "this is no token of this registry"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: whose it is, by what that was known (None: nobody's), until when, and what it is for."""

    principal: str
    proof: Proof | None
    expires: int
    limits: TokenLimits


class Tokens:
    """Gives tokens, and reads them."""

    def __init__(self, keys: TokenKeys, service: str, lives_seconds: int, clock_ms: Callable[[], int]) -> None:
        """Sign for ``service``, the name under which clients know this registry, at the time of ``clock_ms``."""
        self._lives_seconds = lives_seconds
        self._keys = keys
        self._service = service
        self._clock_ms = clock_ms
        self._proven: Remembered[Claims] = Remembered(_REMEMBERED)

    def give(
        self,
        principal: str,
        proof: Proof | None,
        granted: Mapping[str, Sequence[str]],
        *,
        catalog: bool,
    ) -> tuple[str, int, int]:
        """Return a token for actions by repository, when it was issued, and when it ends, in seconds since 1970.

        That is no later than what it was got for.
        """
        key, now = self._keys.signing(), self._clock_ms() // 1000
        ends = min(now + self._lives_seconds, (proof and proof.until) or now + self._lives_seconds)
        access: list[dict[str, object]] = [
            {"type": "repository", "name": name, "actions": list(actions)} for name, actions in granted.items()
        ]
        if catalog:
            access.append({"type": "registry", "name": "catalog", "actions": ["*"]})
        claims: dict[str, object] = {
            "iss": self._service,
            "aud": self._service,
            "sub": principal,
            "pid": proof.principal_id if proof else None,
            "vfm": proof.valid_from_ms if proof else None,
            "key": proof.key_id if proof else None,
            "iat": now,
            "nbf": now,
            "exp": ends,
            "jti": secrets.token_hex(16),
            "access": access,
        }
        if proof and proof.trust_ids:
            claims["tru"] = list(proof.trust_ids)
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": _TYPE}
        return jwt.encode(header, claims, key, algorithms=[ALGORITHM]), now, ends

    def read(self, text: str) -> Claims:
        """Return what a token says; raises :class:`TokenRefused`.

        The key is one of this registry's own, by its id; whatever else the header says about keys is not looked at.
        """
        claims = self._proven.get(text)
        if claims is None:
            claims = self._proved(text)
            self._proven.keep(text, claims)
        if claims.expires + LEEWAY_SECONDS <= self._clock_ms() // 1000:
            raise TokenRefused("the token has expired")
        return claims

    def _proved(self, text: str) -> Claims:
        if len(text) > _LONGEST or not text.isascii():
            raise TokenRefused(_NONE)
        try:
            token = jwt.decode(text, self._key_of, algorithms=[ALGORITHM])
            return self._claims(token.header, token.claims)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise TokenRefused(_NONE) from error

    def _key_of(self, token: GuestProtocol) -> ECKey:
        key_id = token.headers().get("kid")
        key = self._keys.find(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise ValueError("unknown key")
        return key

    def _claims(self, header: Mapping[str, object], claims: Mapping[str, object]) -> Claims:
        now, service = self._clock_ms() // 1000, self._service
        times = [claims.get(name) for name in ("iat", "nbf", "exp")]
        if header.get("typ") != _TYPE or "crit" in header or not all(type(time) is int for time in times):
            raise TokenRefused(_NONE)
        if claims.get("iss") != service or claims.get("aud") != service:
            raise TokenRefused("the token is for another service")
        issued, not_before, expires = (int(str(time)) for time in times)
        if not_before > now + LEEWAY_SECONDS or issued > now + LEEWAY_SECONDS:
            raise TokenRefused("the token is not valid yet")
        principal, proof = claims.get("sub"), _proof(claims)
        kinds = (Kind.ANONYMOUS,) if proof is None else (Kind.USER, Kind.ROBOT)
        if not isinstance(principal, str) or Actor(principal).kind not in kinds:
            raise TokenRefused(_NONE)
        return Claims(principal, proof, expires, parse_access(claims["access"]))


def _proof(claims: Mapping[str, object]) -> Proof | None:
    principal_id, valid_from, key_id = (_number(claims.get(name)) for name in ("pid", "vfm", "key"))
    if principal_id is None:
        return None
    if valid_from is None:
        raise TokenRefused(_NONE)
    return Proof(principal_id, valid_from, key_id, _trust_ids(claims.get("tru", [])))


def _trust_ids(value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TokenRefused(_NONE)
    found = tuple(_number(one) for one in value)
    return tuple(one for one in found if one is not None)


def _number(value: object) -> int | None:
    if value is not None and (type(value) is not int or not 0 < value < _MOST):
        raise TokenRefused(_NONE)
    return value
