"""Issuers of OpenID Connect: where their keys are, and whether a token is one of theirs.

Sources: OpenID Connect Discovery 1.0, 3 and 4; OpenID Connect Core 1.0, 2, 3.1.3.7 and 10.1; RFC 7519, 4.1; RFC 8725.

Only issuers that somebody who administers this registry has named are asked; who brings a token makes the registry
ask nobody else. What they answer is kept, and used for a while when they do not answer any more.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from registry.access.jwks import KeySet, KeySetInvalid, KeyUnknown
from registry.access.tokens import TokenRefused
from registry.hooks.egress import EgressFailed, EgressRefused, EgressResponse

FRESH_SECONDS = 600.0
"""How long an issuer is not asked again."""
STALE_SECONDS = 6 * 3600.0
"""How long what it said last is used while it does not answer."""
AGAIN_SECONDS = 5.0
"""The least time between two questions, however many keys are not known."""
FAILED_SECONDS = 15.0
"""How long after a failure it is not asked again."""
TIMEOUT_SECONDS = 5.0
LEEWAY_SECONDS = 30
"""How far the clocks of issuers may be ahead. What has expired gets no leeway: what follows from it has to end."""
_DISCOVERY = "/.well-known/openid-configuration"
_LONGEST_URL = 1024
_OK = 200
_ID_TOKEN_TYPES = frozenset({None, "jwt", "application/jwt"})
_log = logging.getLogger(__name__)


class IssuerInvalid(ValueError):
    """What cannot be an issuer; the message says why, after its name."""


class IssuerFailed(Exception):
    """The issuer does not answer, or not as an issuer does; the message says what happened, after its name."""


class Getting(Protocol):
    """Asks other hosts: the client of :mod:`registry.egress`."""

    def get(self, url: str, timeout_seconds: float) -> EgressResponse:
        """Return the answer; raises :class:`EgressRefused`, :class:`EgressFailed`."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    document: Mapping[str, Any]
    keys: KeySet
    read_at: float


class _Issuer:
    """One issuer, as this process knows it. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.known: _Known | None = None
        self.asked_again_at = float("-inf")
        self.failure = ""

    def usable(self, now: float, seconds: float) -> _Known | None:
        """Return what is known, unless it is older than that."""
        return self.known if self.known is not None and now < self.known.read_at + seconds else None


class Issuers:
    """Asks issuers for their documents and keys, and proves tokens by them."""

    def __init__(self, egress: Getting, clock_ms: Callable[[], int]) -> None:
        """Ask through ``egress``; tokens are good or not at the time of ``clock_ms``."""
        self._egress = egress
        self._clock_ms = clock_ms
        self._issuers: dict[str, _Issuer] = {}

    def document(self, issuer: str) -> Mapping[str, Any]:
        """Return the discovery document of an issuer: where its endpoints are.

        Raises :class:`IssuerInvalid`, :class:`IssuerFailed`.
        """
        return self._known(issuer).document

    def verify(
        self, text: str, issuer: str, audience: str, *, types: frozenset[str | None] = _ID_TOKEN_TYPES
    ) -> Mapping[str, Any]:
        """Return the claims of a token of ``issuer`` for ``audience``; ``types`` are those its header may name.

        Raises :class:`TokenRefused`, :class:`IssuerInvalid`, :class:`IssuerFailed`.
        """
        known = self._known(issuer)
        try:
            header, claims = known.keys.prove(text)
        except KeyUnknown:
            header, claims = self._known(issuer, than=known).keys.prove(text)
        check_type(header, types)
        check_claims(claims, issuer, audience, self._clock_ms() // 1000)
        return claims

    def _known(self, issuer: str, than: _Known | None = None) -> _Known:
        """Return what is known of an issuer; newer ``than`` that, unless it was asked a moment ago."""
        found = self._issuers.get(issuer)
        if found is None:
            check_issuer(issuer)
            found = self._issuers.setdefault(issuer, _Issuer())
        now = time.monotonic()
        fresh = found.usable(now, FRESH_SECONDS)
        if fresh is not None and fresh is not than:
            return fresh
        stale = found.usable(now, STALE_SECONDS)
        # Who has something to go on with does not wait for another thread that asks already, and nobody does so for an
        # issuer that did not answer the last time.
        if found.turn.acquire(blocking=(stale is None or than is not None) and not found.failure):
            try:
                self._ask(issuer, found, than)
            finally:
                found.turn.release()
        latest = found.usable(time.monotonic(), STALE_SECONDS)
        if latest is None:
            raise IssuerFailed(found.failure)
        return latest

    def _ask(self, issuer: str, found: _Issuer, than: _Known | None) -> None:
        """Ask an issuer, unless that was just done; what goes wrong is kept for who waits for it."""
        now = time.monotonic()
        fresh = found.usable(now, FRESH_SECONDS)
        if (fresh is not None and fresh is not than) or now < found.asked_again_at:
            return
        try:
            document = self._discovered(issuer)
            found.known = _Known(document, KeySet.parse(self._get(document["jwks_uri"])), now)
            found.failure = ""
        except (IssuerFailed, KeySetInvalid) as error:
            found.failure = f"{issuer}: {error}"
            _log.warning("an issuer of tokens does not answer as it should: %s", found.failure)
        found.asked_again_at = time.monotonic() + (FAILED_SECONDS if found.failure else AGAIN_SECONDS)

    def _discovered(self, issuer: str) -> Mapping[str, Any]:
        """Return the document of an issuer, which must be its own (OpenID Connect Discovery, 4.3)."""
        data = self._get(issuer.rstrip("/") + _DISCOVERY)
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise IssuerFailed("its discovery document is no JSON object")
        if document.get("issuer") != issuer:
            raise IssuerFailed(f"its discovery document is that of {str(document.get('issuer'))[:256]!r}")
        where = document.get("jwks_uri")
        try:
            check_issuer(where if isinstance(where, str) else "", query=True)
        except IssuerInvalid as error:
            raise IssuerFailed(f"its jwks_uri is wrong: {error}") from None
        if urlsplit(str(where)).scheme == "http" and urlsplit(issuer).scheme != "http":
            raise IssuerFailed("its jwks_uri is not https")
        return document

    def _get(self, url: str) -> bytes:
        try:
            answer = self._egress.get(url, TIMEOUT_SECONDS)
        except (EgressRefused, EgressFailed) as error:
            raise IssuerFailed(f"{url}: {error}") from error
        if answer.status != _OK:
            raise IssuerFailed(f"{url} answered {answer.status}")
        if answer.truncated:
            raise IssuerFailed(f"{url} answered more than {len(answer.body)} bytes")
        return answer.body


def check_issuer(url: str, *, query: bool = False) -> None:
    """Raise :class:`IssuerInvalid` for what cannot be an issuer (OpenID Connect Discovery, 3).

    It is ``https``, but on this machine, which nobody else's ears are on. ``query``: of a URL that may have one.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises for one that is none
    except ValueError:
        raise IssuerInvalid("this is no URL") from None
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > _LONGEST_URL or not host:
        raise IssuerInvalid(f"a URL of up to {_LONGEST_URL} characters is needed, such as https://issuer.example")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise IssuerInvalid("https:// is needed, other than on this machine")
    if "@" in parts.netloc or "#" in url or ("?" in url and not query):
        raise IssuerInvalid("a URL without user, query and fragment is needed")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_type(header: Mapping[str, Any], types: frozenset[str | None]) -> None:
    """Raise :class:`TokenRefused` for a token of another kind than ``types``, in small letters (RFC 8725, 3.11)."""
    kind = header.get("typ")
    if (kind.lower() if isinstance(kind, str) else kind) not in types:
        raise TokenRefused("this is a token of another kind")


def check_claims(claims: Mapping[str, Any], issuer: str, audience: str, now: int) -> None:
    """Raise :class:`TokenRefused` unless a token is of ``issuer``, for ``audience``, and good ``now`` (seconds)."""
    if claims.get("iss") != issuer:
        raise TokenRefused("the token is of another issuer")
    named = claims.get("aud")
    if named != audience and not (isinstance(named, list) and audience in named):
        raise TokenRefused(f"the token is not for the audience {audience}")
    expires, issued, not_before = (_time(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None or issued is None:
        raise TokenRefused(f"the token does not say when it {'expires' if expires is None else 'was issued'}")
    if expires <= now:
        raise TokenRefused("the token has expired")
    if max(issued, not_before or issued) > now + LEEWAY_SECONDS:
        raise TokenRefused("the token is not valid yet")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a time of a token (RFC 7519, 2: a number, which may have a fraction), None where it has none."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))):
        raise TokenRefused(f"the token's {name} is no time")
    return value
