"""Tokens of a token service elsewhere, which decides in place of the policy's rules that allow.

Source: Docker, "Token Authentication Specification", "Token Authentication Implementation".

What such a token grants, it grants until it expires: nobody tells this registry of a change. Rules that deny hold all
the same, and so does that a user of its name is disabled here. It administers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from registry.access.actors import ANONYMOUS, Actor, Kind
from registry.access.issuers import (
    ID_TOKEN_TYPES,
    Getting,
    IssuerFailed,
    KeySource,
    check_times,
    claimed,
    fetched_keys,
    is_for,
    proved,
)
from registry.access.jwks import KeySet, KeySetInvalid, KeyUnknown, TokenRefused
from registry.access.limits import TokenLimits, parse_access
from registry.access.principal_rows import is_reserved
from registry.errors import Unauthorized, Unavailable

_TYPES = ID_TOKEN_TYPES | {"at+jwt", "application/at+jwt"}
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class ExternalTerms:
    """Where clients get tokens, who issues them, for which service, and where the keys are: a URL, or a file."""

    realm: str
    issuer: str
    service: str
    keys: str


class ExternalTokens:
    """Reads the tokens of the service."""

    def __init__(self, terms: ExternalTerms, egress: Getting, clock_ms: Callable[[], int]) -> None:
        """Look for the keys when the first token comes."""
        self._terms = terms
        self._clock_ms = clock_ms
        self._keys = KeySource(terms.keys, lambda: read_keys(egress, terms.keys))

    def issued(self, text: str) -> bool:
        """Tell whether a token says that it is one of the service's."""
        try:
            return claimed(text).get("iss") == self._terms.issuer
        except TokenRefused:
            return False

    def known(self, text: str, nobody: Actor) -> Actor:
        """Return who shows a token, and what it grants; raises :class:`Unauthorized`, :class:`Unavailable`."""
        try:
            claims = self._good(text)
            return replace(nobody, principal=_principal(claims), granted=_granted(claims), token=True)
        except TokenRefused as error:
            raise Unauthorized(str(error), reason="invalid_token") from None
        except IssuerFailed:
            raise Unavailable("the keys of the token service cannot be had now") from None

    def _good(self, text: str) -> Mapping[str, Any]:
        claims = self._proved(text)
        if not is_for(claims, {self._terms.service}):
            raise TokenRefused("the token is for another service")
        check_times(claims, self._clock_ms() // 1000, needed=("exp",))
        return claims

    def _proved(self, text: str) -> Mapping[str, Any]:
        keys = self._keys.now()
        try:
            return proved(keys, text, self._terms.issuer, _TYPES)
        except KeyUnknown:
            return proved(self._keys.now(than=keys), text, self._terms.issuer, _TYPES)


def read_keys(egress: Getting, where: str) -> KeySet:
    """Return the keys that a URL publishes, or those of a file; raises :class:`IssuerFailed`."""
    if where.startswith(("http:", "https:")):
        return fetched_keys(egress, where)
    try:
        return KeySet.parse(Path(where).read_bytes())
    except (OSError, KeySetInvalid) as error:
        raise IssuerFailed(str(error)) from error


def _principal(claims: Mapping[str, Any]) -> str:
    """Return whom a token is of; where it names nobody, it is nobody's.

    No client can be a part of the registry itself, so names of those are refused.
    """
    name = claims.get("sub")
    if name in (None, "", ANONYMOUS):
        return ANONYMOUS
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not name.isprintable() or is_reserved(name):
        raise TokenRefused("the token is of somebody whose name cannot be one here")
    if Actor(name).kind not in (Kind.USER, Kind.ROBOT):
        raise TokenRefused("the token is of somebody whose name cannot be one here")
    return name


def _granted(claims: Mapping[str, Any]) -> TokenLimits:
    """Return what a token grants; services write nothing as null, too."""
    access = claims.get("access") or []
    try:
        return parse_access([{**entry, "actions": entry.get("actions") or []} for entry in access])
    except (TypeError, ValueError, KeyError, AttributeError):
        raise TokenRefused("the token's access is none") from None
