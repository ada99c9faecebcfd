"""Issuers of OpenID Connect: where their keys are, and whether a token is one of theirs.

Sources: OpenID Connect Discovery 1.0, 3 and 4; OpenID Connect Core 1.0, 2, 3.1.3.7 and 10.1; RFC 7519, 4.1; RFC 8725.

Only issuers that somebody who administers this registry has named are asked; who brings a token makes the registry
ask nobody else. What they answer is kept, and used for a while when they do not answer any more.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from registry.access.jwks import LONGEST_TOKEN, KeySet, KeySetInvalid, KeyUnknown, TokenRefused
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
ID_TOKEN_TYPES = frozenset({None, "jwt", "application/jwt"})
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


T = TypeVar("T")


class KeySource(Generic[T]):
    """What is published somewhere, read anew now and then, and used for a while where it cannot be read."""

    def __init__(self, name: str, read: Callable[[], T]) -> None:
        """Read with ``read``, which raises :class:`IssuerFailed`; ``name`` is for people. Nothing is read yet."""
        self._name = name
        self._read = read
        self._turn = threading.Lock()
        self._known: T | None = None
        self._read_at = self._again_at = float("-inf")
        self._failure = ""

    def now(self, than: T | None = None) -> T:
        """Return what is published; newer ``than`` that, unless it was read a moment ago.

        Raises :class:`IssuerFailed`.
        """
        if (found := self._newer(than)) is not None:
            return found
        # Who has something to go on with does not wait for another thread that reads already, and nobody does so where
        # it could not be read the last time.
        waits = (self._usable(STALE_SECONDS) is None or than is not None) and not self._failure
        if self._turn.acquire(blocking=waits):
            try:
                if self._newer(than) is None and time.monotonic() >= self._again_at:
                    self._try()
            finally:
                self._turn.release()
        latest = self._usable(STALE_SECONDS)
        if latest is None:
            raise IssuerFailed(self._failure)
        return latest

    def _usable(self, seconds: float) -> T | None:
        return self._known if time.monotonic() < self._read_at + seconds else None

    def _newer(self, than: T | None) -> T | None:
        fresh = self._usable(FRESH_SECONDS)
        return None if fresh is than else fresh

    def _try(self) -> None:
        """Read it; what goes wrong is kept for who waits for it."""
        try:
            self._known = self._read()
            self._failure, self._read_at = "", time.monotonic()
        except IssuerFailed as error:
            self._failure = f"{self._name}: {error}"
            _log.warning("what proves tokens cannot be read: %s", self._failure)
        self._again_at = time.monotonic() + (FAILED_SECONDS if self._failure else AGAIN_SECONDS)


@dataclass(frozen=True, slots=True)
class _Published:
    document: Mapping[str, Any]
    keys: KeySet


class Issuers:
    """Asks issuers for their documents and keys, and proves tokens by them."""

    def __init__(self, egress: Getting, clock_ms: Callable[[], int]) -> None:
        """Ask through ``egress``; tokens are good or not at the time of ``clock_ms``."""
        self._egress = egress
        self._clock_ms = clock_ms
        self._issuers: dict[str, KeySource[_Published]] = {}

    def document(self, issuer: str) -> Mapping[str, Any]:
        """Return the discovery document of an issuer: where its endpoints are.

        Raises :class:`IssuerInvalid`, :class:`IssuerFailed`.
        """
        return self._source(issuer).now().document

    def verify(self, text: str, issuer: str, audience: str) -> Mapping[str, Any]:
        """Return the claims of an ID token of ``issuer`` for ``audience`` that is good now.

        Raises :class:`TokenRefused`, :class:`IssuerInvalid`, :class:`IssuerFailed`.
        """
        claims = self.prove(text, issuer)
        if not is_for(claims, {audience}):
            raise TokenRefused(f"the token is not for the audience {audience}")
        check_times(claims, self._clock_ms() // 1000)
        return claims

    def prove(self, text: str, issuer: str) -> Mapping[str, Any]:
        """Return the claims of an ID token that ``issuer`` signed, for whomever, good or not any more.

        Raises as :meth:`verify` does.
        """
        source = self._source(issuer)
        known = source.now()
        try:
            return proved(known.keys, text, issuer)
        except KeyUnknown:
            return proved(source.now(than=known).keys, text, issuer)

    def _source(self, issuer: str) -> KeySource[_Published]:
        found = self._issuers.get(issuer)
        if found is None:
            check_issuer(issuer)
            found = self._issuers.setdefault(issuer, KeySource(issuer, lambda: self._published(issuer)))
        return found

    def _published(self, issuer: str) -> _Published:
        document = self._discovered(issuer)
        return _Published(document, fetched_keys(self._egress, document["jwks_uri"]))

    def _discovered(self, issuer: str) -> Mapping[str, Any]:
        """Return the document of an issuer, which must be its own (OpenID Connect Discovery, 4.3)."""
        data = _fetched(self._egress, issuer.rstrip("/") + _DISCOVERY)
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


def fetched_keys(egress: Getting, url: str) -> KeySet:
    """Return the keys that a URL publishes; raises :class:`IssuerFailed`."""
    try:
        return KeySet.parse(_fetched(egress, url))
    except KeySetInvalid as error:
        raise IssuerFailed(f"{url}: {error}") from None


def _fetched(egress: Getting, url: str) -> bytes:
    try:
        answer = egress.get(url, TIMEOUT_SECONDS)
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


def proved(keys: KeySet, text: str, issuer: str, types: frozenset[str | None] = ID_TOKEN_TYPES) -> Mapping[str, Any]:
    """Return the claims of a token that one of ``keys`` signed, of ``issuer``, and of no other kind than ``types``.

    Kinds are in small letters; None: where the header names none (RFC 8725, 3.11). Raises :class:`TokenRefused`.
    """
    header, claims = keys.prove(text)
    kind = header.get("typ")
    if (kind.lower() if isinstance(kind, str) else kind) not in types:
        raise TokenRefused("this is a token of another kind")
    if claims.get("iss") != issuer:
        raise TokenRefused("the token is of another issuer")
    return claims


def claimed(text: str) -> Mapping[str, Any]:
    """Return what a token claims, proved or not; raises :class:`TokenRefused` for what is none."""
    try:
        _, body, _ = text[: LONGEST_TOKEN + 1].split(".")
        claims = json.loads(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict) or len(text) > LONGEST_TOKEN:
        raise TokenRefused("this is no signed token (JWT)")
    return claims


def is_for(claims: Mapping[str, Any], audiences: Collection[str]) -> bool:
    """Tell whether a token is for one of ``audiences`` (RFC 7519, 4.1.3: a text, or a list of them)."""
    named = claims.get("aud")
    listed = named if isinstance(named, list) else [named]
    return any(isinstance(one, str) and one in audiences for one in listed)


def check_times(claims: Mapping[str, Any], now: int, needed: Collection[str] = ("exp", "iat")) -> int:
    """Raise :class:`TokenRefused` unless a token is good ``now``; return when it ends, in seconds since 1970.

    The times that are ``needed`` must be there.
    """
    found = {name: _time(claims, name) for name in ("exp", "iat", "nbf")}
    for name in needed:
        if found[name] is None:
            raise TokenRefused(f"the token has no {name}")
    expires, issued, not_before = found.values()
    if expires is not None and expires <= now:
        raise TokenRefused("the token has expired")
    if any(time is not None and time > now + LEEWAY_SECONDS for time in (issued, not_before)):
        raise TokenRefused("the token is not valid yet")
    return int(expires or now)


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a time of a token (RFC 7519, 2: a number, which may have a fraction), None where it has none."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))):
        raise TokenRefused(f"the token's {name} is no time")
    return value
